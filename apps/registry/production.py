"""Which version was in production when: stretches of time, from the history of stages. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WIDTH = 1_000.0
LANE, GAP = 26.0, 6.0
TICKS = 5


@dataclass(frozen=True)
class Stretch:
    """A version in production from `since` to `until` (None: still); which move put it there."""

    number: int
    since: datetime
    until: datetime | None
    move_id: int

    def covers(self, at: datetime) -> bool:
        """Whether the version was in production at a moment."""
        return self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True)
class Arrival:
    """One change of stage as the stretches read it."""

    move_id: int
    number: int
    into_production: bool
    occurred_at: datetime


def stretches(moves: Iterable[Arrival]) -> list[Stretch]:
    """Times in production, oldest first; `moves` are in the order in which they happened."""
    opened: dict[int, Arrival] = {}
    found: list[Stretch] = []
    for move in moves:
        before = opened.pop(move.number, None)
        if before is not None:
            found.append(Stretch(move.number, before.occurred_at, move.occurred_at, before.move_id))
        if move.into_production:
            opened[move.number] = move
    found += [Stretch(one.number, one.occurred_at, None, one.move_id) for one in opened.values()]
    return sorted(found, key=lambda stretch: (stretch.since, stretch.number))


@dataclass(frozen=True)
class Bar:
    """A stretch in the picture, in its units."""

    stretch: Stretch
    x: float
    y: float
    width: float
    chosen: bool


@dataclass(frozen=True)
class Tick:
    """A moment on the axis."""

    x: float
    at: datetime


@dataclass(frozen=True)
class Strip:
    """The picture: bars in lanes so that none covers another, and where the moment asked for is."""

    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    at_x: float
    height: float
    since: datetime
    until: datetime


def strip(found: Sequence[Stretch], *, at: datetime, now: datetime) -> Strip:
    """All stretches from the first one to now, or to the moment asked for."""
    first = min((one.since for one in found), default=now - timedelta(days=1))
    first, last = min(first, at), max(now, at)
    span = max((last - first).total_seconds(), 1.0)

    def place(moment: datetime) -> float:
        return round(WIDTH * (moment - first).total_seconds() / span, 1)

    bars, ends = [], list[datetime]()
    for one in found:
        lane = next((index for index, end in enumerate(ends) if end <= one.since), len(ends))
        ends[lane : lane + 1] = [one.until or last]
        x = place(one.since)
        width = max(2.0, place(one.until or last) - x)
        bars.append(Bar(one, x, lane * (LANE + GAP), width, one.covers(at)))
    ticks = [first + (last - first) * number / (TICKS - 1) for number in range(TICKS)]
    return Strip(
        bars=bars,
        ticks=[Tick(place(moment), moment) for moment in ticks],
        at_x=place(at),
        height=max(1, len(ends)) * (LANE + GAP),
        since=first,
        until=last,
    )
