"""What this app refuses."""

from apps.events.errors import Conflict, Invalid


class BatchAlreadyReplayed(Conflict):
    """A dead batch is counted once, like every other."""

    code = "batch-already-replayed"


class PeriodTooLong(Invalid):
    """The period has more steps than a chart, or a reader, could take."""

    code = "period-too-long"
