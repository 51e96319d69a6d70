"""What this app refuses."""

from apps.events.errors import Conflict, DomainError, Invalid, NotFound, Unavailable


class DeploymentNotFound(NotFound):
    """No such deployment."""

    code = "deployment-not-found"


class RolloutNotFound(NotFound):
    """No such rollout."""

    code = "rollout-not-found"


class AlreadyDeploying(Conflict):
    """The version is on its way onto this target already."""

    code = "already-deploying"
    title = "Already deploying"


class TransitionRefused(Conflict):
    """The object's state does not allow this."""

    code = "transition-refused"
    title = "State does not allow this"


class NothingToReplace(Conflict):
    """The endpoint serves nothing that a candidate could be compared with."""

    code = "nothing-to-replace"
    title = "Endpoint serves nothing yet"


class RollbackRefused(Conflict):
    """The endpoint has moved on: what this rollout left is not what runs now."""

    code = "rollback-refused"
    title = "Endpoint has moved on"


class TargetAway(Unavailable):
    """The target, or the store that it fetches from, does not answer now."""

    code = "target-away"
    title = "Target is away"


class TargetRefuses(DomainError):
    """The target answered that it will not do this."""

    code = "target-refuses"
    title = "Target refuses"


__all__ = [
    "AlreadyDeploying",
    "DeploymentNotFound",
    "Invalid",
    "NothingToReplace",
    "RollbackRefused",
    "RolloutNotFound",
    "TargetAway",
    "TargetRefuses",
    "TransitionRefused",
]
