"""`manage.py relay`: chain committed events and deliver them to subscribers."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from apps.events.anchors import Anchorer
from apps.events.relay import Relay


class Command(BaseCommand):
    """Any number may run; one leads. SIGTERM and SIGINT end it after the event in hand."""

    help = "Chain committed events, deliver them to subscribers, anchor the chain's head."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal comes; a lost connection is an error, for the supervisor."""
        with Anchorer() as anchorer, Relay(on_lead=anchorer.start) as relay:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: relay.stop.set())
            relay.run()
