"""`manage.py replay_dead_letters`: offer events that a subscriber gave up on once more."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.events import delivery
from apps.events.models import DeadLetter


class Command(BaseCommand):
    """Oldest first; what fails again stays a dead letter."""

    help = "Deliver dead letters again, oldest first."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--subscriber` picks one."""
        parser.add_argument("--subscriber", default="", help="only this subscriber's")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print how many were taken and how many were not."""
        letters = DeadLetter.objects.filter(replayed_at__isnull=True).order_by("chained_id")
        if options["subscriber"]:
            letters = letters.filter(subscriber=options["subscriber"])
        results = [delivery.replay(one) for one in letters.select_related("chained__event")]
        self.stdout.write(f"{sum(results)} taken, {len(results) - sum(results)} not")
