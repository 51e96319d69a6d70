"""How a shadow compares with what was served: pure, and no figure without its doubt.

Intervals are of 95 % and take rows as independent. Units that come back make them narrower than
they ought to be, so they rule a difference out less well than they rule one in.
"""

import math
from dataclasses import dataclass, field

from apps.monitoring.counts import add_counts
from apps.monitoring.paired import PairedAccuracy
from apps.monitoring.performance import Z_95, Interval, wilson
from serving.sketches import Sketch

ENOUGH_ROWS = 100


@dataclass(frozen=True, kw_only=True)
class ShadowTraffic:
    """Exact sums of one shadow beside one baseline: of all rows, or of one `segment`.

    `rows` were answered by both, `labelled` of them with a label, `agreements` with the same one;
    `timed` rows were asked of both models (none was a cache's). Differences are shadow minus
    baseline: `shift` of the scores, `delay` of the calls in ms. `dropped` rows found no room.
    """

    rows: int = 0
    labelled: int = 0
    agreements: int = 0
    timed: int = 0
    dropped: int = 0
    shift_sum: float = 0.0
    shift_squares: float = 0.0
    delay_sum_ms: float = 0.0
    delay_squares: float = 0.0
    shifts: Sketch = field(default_factory=Sketch)
    baseline_latency: Sketch = field(default_factory=Sketch)
    shadow_latency: Sketch = field(default_factory=Sketch)
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether there are rows enough to judge by."""
        return self.rows >= ENOUGH_ROWS

    @property
    def failed(self) -> int:
        """Rows on which the shadow failed, whatever the kind."""
        return sum(self.errors.values())

    @property
    def error_share(self) -> float | None:
        """Failures per row asked; None when none was."""
        asked = self.rows + self.failed
        return self.failed / asked if asked else None

    @property
    def agreement(self) -> float | None:
        """Share of the labelled rows with the same label; None without labels."""
        return self.agreements / self.labelled if self.labelled else None

    @property
    def agreement_interval(self) -> Interval | None:
        """Wilson's interval of `agreement`; None for too few rows."""
        return wilson(self.agreements, self.labelled) if self.labelled >= ENOUGH_ROWS else None

    @property
    def mean_shift(self) -> float | None:
        """Mean of the shadow's score minus the baseline's; None without rows."""
        return self.shift_sum / self.rows if self.rows else None

    @property
    def shift_interval(self) -> Interval | None:
        """Normal interval of `mean_shift`; None for too few rows."""
        return _mean_interval(self.rows, self.shift_sum, self.shift_squares)

    @property
    def shift_p95(self) -> float | None:
        """95th percentile of the distance between both scores, within 1 %."""
        return self.shifts.quantile(0.95)

    @property
    def mean_delay_ms(self) -> float | None:
        """Mean of the milliseconds by which the shadow's call was slower; None without times."""
        return self.delay_sum_ms / self.timed if self.timed else None

    @property
    def baseline_p50_ms(self) -> float | None:
        """Median of the baseline's call; None without times."""
        return self.baseline_latency.quantile(0.50)

    @property
    def baseline_p99_ms(self) -> float | None:
        """99th percentile of the baseline's call."""
        return self.baseline_latency.quantile(0.99)

    @property
    def shadow_p50_ms(self) -> float | None:
        """Median of the shadow's call."""
        return self.shadow_latency.quantile(0.50)

    @property
    def shadow_p99_ms(self) -> float | None:
        """99th percentile of the shadow's call."""
        return self.shadow_latency.quantile(0.99)

    @property
    def delay_interval(self) -> Interval | None:
        """Normal interval of `mean_delay_ms`; None for too few rows."""
        return _mean_interval(self.timed, self.delay_sum_ms, self.delay_squares)

    def __add__(self, other: "ShadowTraffic") -> "ShadowTraffic":
        """Of both together."""
        return ShadowTraffic(
            rows=self.rows + other.rows,
            labelled=self.labelled + other.labelled,
            agreements=self.agreements + other.agreements,
            timed=self.timed + other.timed,
            dropped=self.dropped + other.dropped,
            shift_sum=self.shift_sum + other.shift_sum,
            shift_squares=self.shift_squares + other.shift_squares,
            delay_sum_ms=self.delay_sum_ms + other.delay_sum_ms,
            delay_squares=self.delay_squares + other.delay_squares,
            shifts=_merged(self.shifts, other.shifts),
            baseline_latency=_merged(self.baseline_latency, other.baseline_latency),
            shadow_latency=_merged(self.shadow_latency, other.shadow_latency),
            errors=_added(self.errors, other.errors),
        )


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One value of a segmenting feature, as "feature=value"."""

    name: str
    traffic: ShadowTraffic


@dataclass(frozen=True, kw_only=True)
class ShadowComparison:
    """A shadow version beside the version that answered, on one endpoint.

    `segments` each split all rows by one feature, the one with the lowest agreement first. `truth`
    is of the sampled rows.
    """

    endpoint: str
    version: str
    baseline: str
    traffic: ShadowTraffic
    segments: tuple[Segment, ...] = ()
    truth: PairedAccuracy = field(default_factory=PairedAccuracy)

    @property
    def sentence(self) -> str:
        """What the rows say, in words."""
        found = self.traffic
        if not found.enough:
            return f"Not enough rows: {found.rows:,} of the {ENOUGH_ROWS} that a comparison needs."
        words = [f"{found.rows:,} rows compared with {self.baseline}"]
        if found.agreement is not None:
            words.append(f"the same label on {100 * found.agreement:.2f} %")
        if found.mean_shift is not None:
            words.append(f"scores {_signed(found.mean_shift)} on average")
        return f"{', '.join(words)}."


def by_agreement(segments: dict[str, ShadowTraffic]) -> tuple[Segment, ...]:
    """Segments, the one with the lowest agreement first; those with too few rows come last."""
    found = [Segment(name=name, traffic=traffic) for name, traffic in segments.items()]
    return tuple(sorted(found, key=_rank))


def _rank(segment: Segment) -> tuple[bool, float, float, str]:
    found = segment.traffic
    agreement = 1.0 if found.agreement is None else found.agreement
    return not found.enough, agreement, -abs(found.mean_shift or 0.0), segment.name


def _mean_interval(count: int, total: float, squares: float) -> Interval | None:
    """mean -+ z s / sqrt(n), with the unbiased variance s^2; None below ENOUGH_ROWS."""
    if count < ENOUGH_ROWS:
        return None
    mean = total / count
    variance = max(0.0, squares - count * mean**2) / (count - 1)
    half = Z_95 * math.sqrt(variance / count)
    return Interval(mean - half, mean + half)


def _signed(number: float) -> str:
    return f"{number:+.4f}" if round(number, 4) else "unchanged"


def _merged(one: Sketch, other: Sketch) -> Sketch:
    both = Sketch(dict(one.bins))
    both.merge(other)
    return both


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    both = dict(one)
    add_counts(both, other)
    return both
