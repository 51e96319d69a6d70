"""Comparisons of shadows folded into sums of a minute and of an hour: pure."""

from dataclasses import dataclass, field

from apps.monitoring.counts import add_counts
from contracts.records import Comparison

ShadowKey = tuple[int, str, str, str, str]


@dataclass(slots=True)
class ShadowSums:
    """The sums of all comparisons with one key: start, endpoint, versions and segment."""

    rows: int = 0
    labelled: int = 0
    agreements: int = 0
    timed: int = 0
    dropped: int = 0
    shift_sum: float = 0.0
    shift_squares: float = 0.0
    delay_sum_ms: float = 0.0
    delay_squares: float = 0.0
    shifts: dict[int, int] = field(default_factory=dict)
    baseline_latency: dict[int, int] = field(default_factory=dict)
    shadow_latency: dict[int, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    def add(self, more: "Comparison | ShadowSums") -> None:
        """Add what a gateway compared, or other sums."""
        self.rows += more.rows
        self.labelled += more.labelled
        self.agreements += more.agreements
        self.timed += more.timed
        self.dropped += more.dropped
        self.shift_sum += more.shift_sum
        self.shift_squares += more.shift_squares
        self.delay_sum_ms += more.delay_sum_ms
        self.delay_squares += more.delay_squares
        add_counts(self.shifts, more.shifts)
        add_counts(self.baseline_latency, more.baseline_latency)
        add_counts(self.shadow_latency, more.shadow_latency)
        add_counts(self.errors, more.errors)


def widened(sums: dict[ShadowKey, ShadowSums], width_s: int) -> dict[ShadowKey, ShadowSums]:
    """Sums of minutes, added up to windows of `width_s` seconds."""
    wide: dict[ShadowKey, ShadowSums] = {}
    for (start, *names), found in sums.items():
        endpoint, shadow, baseline, segment = names
        key = (start // width_s * width_s, endpoint, shadow, baseline, segment)
        wide.setdefault(key, ShadowSums()).add(found)
    return wide
