"""A stretch of time as whole hours, whole minutes and the seconds at its ends: pure.

Counts are kept for every second (of the last hour), minute and hour alike, so that the sum over a
week reads hours, and still begins and ends at a second.
"""

from dataclasses import dataclass

SECOND, MINUTE, HOUR = 1, 60, 3_600
ROLLED_UP = (MINUTE, HOUR)
KEPT_SECONDS = HOUR
# Windows of a second may go at any moment after their hour; nobody relies on the last of them.
MARGIN = 2 * MINUTE


@dataclass(frozen=True)
class Tile:
    """Windows of `width_s` that start in [since, until); both in epoch seconds."""

    width_s: int
    since: int
    until: int


def floor(moment: int, width_s: int) -> int:
    """The start of the window that holds `moment`."""
    return moment // width_s * width_s


def ceil(moment: int, width_s: int) -> int:
    """The first start of a window that is not before `moment`."""
    return -(-moment // width_s) * width_s


def seconds_since(now: int) -> int:
    """From when on there are windows of a second to read."""
    return floor(now - KEPT_SECONDS, MINUTE) + MARGIN


def tiles(since: int, until: int, *, now: int) -> list[Tile]:
    """Cover [since, until) without gap or overlap by as few windows as there may be.

    Where seconds are gone already, an end is moved outward to its minute.
    """
    oldest = seconds_since(now)
    if since < oldest:
        since = floor(since, MINUTE)
    if until <= oldest:
        until = ceil(until, MINUTE)
    return _cover(since, until, (HOUR, MINUTE, SECOND))


def _cover(since: int, until: int, widths: tuple[int, ...]) -> list[Tile]:
    width, *finer = widths
    first, last = ceil(since, width), floor(until, width)
    if first >= last:
        return _cover(since, until, tuple(finer)) if finer else []
    middle = [Tile(width, first, last)]
    if not finer:
        return middle
    before = _cover(since, first, tuple(finer))
    return before + middle + _cover(last, until, tuple(finer))


@dataclass(frozen=True)
class Steps:
    """Equal steps of a time series: `count` of `step_s` seconds from `origin`, read from windows
    of `width_s`."""

    origin: int
    step_s: int
    count: int
    width_s: int

    @property
    def tile(self) -> Tile:
        """All windows of the steps."""
        return Tile(self.width_s, self.origin, self.origin + self.step_s * self.count)

    def starts(self) -> list[int]:
        """When each step begins."""
        return [self.origin + self.step_s * number for number in range(self.count)]


def steps(since: int, until: int, step_s: int, *, now: int) -> Steps:
    """The steps that cover [since, until), `step_s` taken up to what the windows can tell."""
    width = _width(since, step_s, now=now)
    step_s = ceil(step_s, width)
    origin = floor(since, width)
    return Steps(origin, step_s, max(1, -(-(until - origin) // step_s)), width)


def _width(since: int, step_s: int, *, now: int) -> int:
    if step_s >= HOUR:
        return HOUR
    return SECOND if step_s < MINUTE and since >= seconds_since(now) else MINUTE
