"""What a promotion would touch, and the way back: the floors above say, this floor shows.

Upper floors register when they are ready; until they do, nothing is known and nothing is claimed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from apps.registry.models import ModelVersion


@dataclass(frozen=True)
class Touched:
    """An endpoint that the model answers on: who owns it, and what it served of late.

    `share` is the incumbent's part of its users, 0 to 1; `requests_per_s` over the last hour,
    None where nothing was counted.
    """

    endpoint: str
    team: str
    versions: tuple[str, ...]
    share: float
    requests_per_s: float | None
    clients: int = 0


@dataclass(frozen=True)
class BlastRadius:
    """Everything that a promotion would touch."""

    endpoints: tuple[Touched, ...]

    @property
    def teams(self) -> tuple[str, ...]:
        """Teams whose endpoints these are."""
        return tuple(sorted({one.team for one in self.endpoints}))

    @property
    def requests_per_s(self) -> float:
        """Of all endpoints together."""
        return sum(one.requests_per_s or 0.0 for one in self.endpoints)


@dataclass(frozen=True)
class WayBack:
    """Which version an endpoint would return to, whether it is loaded, and how long it takes.

    `seconds` is measured: the last switch of the endpoint, or the last load of the version; None
    where neither happened yet.
    """

    endpoint: str
    version: str
    loaded: bool
    seconds: float | None
    sentence: str


Radius = Callable[[ModelVersion], BlastRadius]
Ways = Callable[[ModelVersion], tuple[WayBack, ...]]

_radius: list[Radius] = []
_ways: list[Ways] = []


def register(*, radius: Radius, ways_back: Ways) -> None:
    """Say what promotions touch and how to return; the last to register is asked."""
    _radius[:] = [radius]
    _ways[:] = [ways_back]


def blast_radius(version: ModelVersion) -> BlastRadius:
    """What promoting this version would touch."""
    return _radius[0](version) if _radius else BlastRadius(())


def ways_back(version: ModelVersion) -> tuple[WayBack, ...]:
    """What each endpoint would return to if this version proved bad."""
    return _ways[0](version) if _ways else ()
