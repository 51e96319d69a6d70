"""What every kind of target offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from apps.registry.models import ModelVersion


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How far an entry is on its target.

    `state`: fetching, verifying, loading, ready, failed, or absent where the target does not know
    the entry. `progress` is 0..1.
    """

    state: str
    progress: float = 0.0
    error: str = ""


class Driver(Protocol):
    """A kind of target. Every call is safe to repeat and raises TargetAway or TargetRefuses."""

    @property
    def addresses(self) -> Sequence[str]:
        """ "host:port" of the gRPC of everything that serves."""

    def require(self, *, version: ModelVersion) -> None:
        """Raise TargetRefuses for a version that this target cannot serve."""

    def place(self, *, version: ModelVersion, entry: str, replicas: int) -> None:
        """Ask for the version as `entry`; returns when the target has taken it on."""

    def look(self, *, entry: str) -> Placement:
        """How far the entry is."""

    def ask(self, *, version: ModelVersion, entry: str) -> None:
        """Make a test prediction with the version's own example, on everything that serves."""

    def place_explainer(self, *, version: ModelVersion, entry: str) -> None:
        """Ask for what explains the version as `entry`, the name of its own entry's explainer."""

    def explain(self, *, version: ModelVersion, entry: str) -> None:
        """Make a test explanation of the version's own example, on everything that serves."""

    def remove(self, *, entry: str) -> None:
        """Unload the entry and forget it."""
