"""`manage.py verify_events`: prove that nobody changed, removed or reordered an event."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.events import anchors, chain
from apps.events.chain import Fault


class Command(BaseCommand):
    """Ends with an error that lists every fault."""

    help = "Walk the hash chain of events and compare it with the anchors in the store."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--chain-only` leaves the store out."""
        parser.add_argument("--chain-only", action="store_true", help="do not read the anchors")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was proven, or every fault."""
        head = chain.head()
        faults = list(chain.verify())
        checked = 0
        if not options["chain_only"]:
            report = _anchors()
            faults += report.faults
            checked = report.checked
        self._refuse(faults)
        waiting = chain.unchained(everything=True).count()
        self.stdout.write(
            f"chain holds: {head.seq} events, head {head.digest.hex()}, "
            f"{checked} anchors agree, {waiting} committed events wait for the relay"
        )

    def _refuse(self, faults: list[Fault]) -> None:
        if faults:
            lines = [f"#{fault.seq}: {fault.detail}" for fault in faults]
            raise CommandError("the chain does not hold:\n" + "\n".join(lines))


def _anchors() -> anchors.Report:
    try:
        return anchors.verify(anchors.store())
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"the anchors cannot be read: {error} (--chain-only?)") from error
