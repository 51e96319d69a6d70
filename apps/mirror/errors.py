"""What this app refuses."""

from apps.events.errors import Conflict, NotFound
from apps.registry.errors import MlflowUnavailable, SourceNotFound

__all__ = [
    "CannotRevert",
    "DifferenceEnded",
    "MlflowUnavailable",
    "NoDifference",
    "NoMirror",
    "SourceNotFound",
    "Superseded",
]


class NoMirror(NotFound):
    """There is no such mirror."""

    code = "no-mirror"


class NoDifference(NotFound):
    """There is no such difference."""

    code = "no-difference"


class DifferenceEnded(Conflict):
    """Somebody has dealt with it already, or it went away by itself."""

    code = "difference-ended"


class CannotRevert(Conflict):
    """What was there cannot be put back, for the reason given."""

    code = "cannot-revert"


class Superseded(Exception):
    """Another worker holds the mirror now: this one stops where it is."""
