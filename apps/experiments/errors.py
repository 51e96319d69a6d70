"""What this app refuses."""

from apps.events.errors import Conflict, Invalid, NotFound


class ExperimentNotFound(NotFound):
    """No such experiment."""

    code = "experiment-not-found"


class InvalidPlan(Invalid):
    """Arms or metrics that nothing could be learned from."""

    code = "invalid-plan"
    title = "Invalid plan"


class TransitionRefused(Conflict):
    """The experiment's state does not allow this."""

    code = "transition-refused"
    title = "State does not allow this"


class NothingToCompare(Conflict):
    """The endpoint serves nothing yet, so there is nothing to return to."""

    code = "nothing-to-compare"
    title = "Endpoint serves nothing yet"
