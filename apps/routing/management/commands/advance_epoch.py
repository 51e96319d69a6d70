"""`manage.py advance_epoch`: after Postgres was restored from a backup."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.principals import of_user
from apps.accounts.selectors import get_user
from apps.events.errors import DomainError
from apps.routing.services import advance_epoch


class Command(BaseCommand):
    """Begin a new epoch of the routing table, so that gateways take a restored one."""

    help = "Begin a new epoch of the routing table, after Postgres was restored from a backup."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who decides it, and why."""
        parser.add_argument("--by", required=True, help="username of an administrator")
        parser.add_argument("--reason", required=True)

    def handle(self, *args: object, **options: Any) -> None:
        """Advance and publish."""
        try:
            actor = of_user(get_user(options["by"]))
            position = advance_epoch(actor=actor, reason=options["reason"])
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"epoch {position.epoch}, generation {position.generation}")
