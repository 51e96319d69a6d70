"""When a variant is asked no more: closed, open, half-open. No clock and no I/O of its own.

Closed: rows pass, and what becomes of them is counted in a sliding window. Open: none passes until
`open_s` is over. Half-open: one row at a time is let through, the probe; enough good ones in a row
close the breaker, a bad one opens it again. (Nygard, Release It!, 2007.)
"""

from enum import IntEnum

from contracts.policy import Breaker as BreakerSpec

SLICES = 10


class State(IntEnum):
    """The number is what `/metrics` shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Window:
    """Good and bad rows of the last `seconds`, in ten slices: constant cost, a tenth's accuracy."""

    __slots__ = ("_bad", "_good", "_slice_s", "_slices")

    def __init__(self, seconds: float) -> None:
        self._slice_s = seconds / SLICES
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._slices: list[int] = [-1] * SLICES
        self._good = [0] * SLICES
        self._bad = [0] * SLICES

    def add(self, good: int, bad: int, now: float) -> None:
        """Count rows of this moment."""
        number = int(now / self._slice_s)
        at = number % SLICES
        if self._slices[at] != number:
            self._slices[at], self._good[at], self._bad[at] = number, 0, 0
        self._good[at] += good
        self._bad[at] += bad

    def totals(self, now: float) -> tuple[int, int]:
        """Good and bad rows in the window that ends now."""
        oldest = int(now / self._slice_s) - SLICES
        present = [at for at in range(SLICES) if self._slices[at] > oldest]
        return sum(self._good[at] for at in present), sum(self._bad[at] for at in present)


class Breaker:
    """The breaker of one variant; `now` is any monotonic clock's seconds.

    `closed` is all that a row has to look at while nothing is wrong.
    """

    __slots__ = ("_good_probes", "_opened_at", "_probing", "_window", "closed", "opened", "spec")

    def __init__(self, spec: BreakerSpec) -> None:
        self.spec = spec
        self.closed = True
        self.opened = 0
        self._window = Window(spec.window_s)
        self._opened_at = 0.0
        self._good_probes = 0
        self._probing = False

    def state(self, now: float) -> State:
        """Where it stands."""
        if self.closed:
            return State.CLOSED
        waited = now - self._opened_at >= self.spec.open_s
        return State.HALF_OPEN if waited else State.OPEN

    def let_probe(self, now: float) -> bool:
        """Of a breaker that is not closed: whether this row may go, as the probe."""
        if self._probing or self.state(now) is not State.HALF_OPEN:
            return False
        self._probing = True
        return True

    def probed(self, good: bool | None, now: float) -> None:
        """What became of the probe; None = it was never asked, or said nothing."""
        if not self._probing:
            return
        self._probing = False
        if good is None:
            return
        if not good:
            self._open(now)
            return
        self._good_probes += 1
        if self._good_probes >= self.spec.probes:
            self._window.clear()
            self.closed = True

    def observe(self, good: int, bad: int, now: float) -> None:
        """Count settled rows. Stragglers that were asked before it opened change nothing."""
        if not self.closed:
            return
        self._window.add(good, bad, now)
        if bad:
            good, bad = self._window.totals(now)
            rows = good + bad
            if rows >= self.spec.minimum and bad >= self.spec.error_share * rows:
                self._open(now)

    def _open(self, now: float) -> None:
        self.opened += self.closed
        self.closed = False
        self._opened_at = now
        self._good_probes = 0
        self._probing = False
