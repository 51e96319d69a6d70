"""What traffic looked like: pure sums, rates and quantiles of windows."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from serving.sketches import Sketch, value_of


class Line(NamedTuple):
    """A version in a role: after a ramp "stable" is another version than before, and both stand."""

    variant: str
    version: str


@dataclass(frozen=True, kw_only=True)
class VariantTraffic:
    """Exact sums over some time of one variant.

    `requests` counts answers of every kind, `failed` those with an error (by kind in `errors`);
    `fallback_kinds`: "stale", "variant" and "default" make up `fallbacks`, "503" are errors for
    want of any. `latency` is of successful answers, in ms; `predictions` are counts in 20 bins of
    [0, 1].
    """

    requests: int = 0
    failed: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    cache_hits: int = 0
    fallbacks: int = 0
    fallback_kinds: dict[str, int] = field(default_factory=dict)
    pinned: int = 0
    latency: Sketch = field(default_factory=Sketch)
    latency_sum_ms: float = 0.0
    predictions: dict[int, int] = field(default_factory=dict)
    prediction_sum: float = 0.0
    positives: int = 0
    batches: int = 0
    batch_rows: int = 0
    lookup_misses: int = 0
    lookup_unread: int = 0

    @property
    def answered(self) -> int:
        """Successful answers."""
        return self.requests - self.failed

    @property
    def error_rate(self) -> float | None:
        """Errors per request; None without requests."""
        return self.failed / self.requests if self.requests else None

    @property
    def p50_ms(self) -> float | None:
        """Median latency; None without successful answers."""
        return self.latency.quantile(0.50)

    @property
    def p95_ms(self) -> float | None:
        """95th percentile of latency."""
        return self.latency.quantile(0.95)

    @property
    def p99_ms(self) -> float | None:
        """99th percentile of latency."""
        return self.latency.quantile(0.99)

    @property
    def mean_batch_rows(self) -> float | None:
        """Rows per call of the model server; None without calls."""
        return self.batch_rows / self.batches if self.batches else None

    def slower_than(self, limit_ms: float) -> int:
        """Successful answers that took longer than `limit_ms`, within the sketch's 1 %."""
        return sum(n for index, n in self.latency.bins.items() if value_of(index) > limit_ms)


@dataclass(frozen=True, kw_only=True)
class VariantSeries:
    """One version in one role over time, a point a step: lists of one length, for a chart.

    `at` are the starts of the steps, `step_s` seconds apart. A step without requests has None for
    rates and quantiles.
    """

    variant: str
    version: str
    step_s: int
    at: list[datetime]
    requests: list[int]
    failed: list[int]
    error_rate: list[float | None]
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]

    @classmethod
    def of(cls, line: Line, step_s: int, points: dict[datetime, VariantTraffic]) -> "VariantSeries":
        """From the traffic of each step, in order."""
        steps = list(points.values())
        return cls(
            variant=line.variant,
            version=line.version,
            step_s=step_s,
            at=list(points),
            requests=[step.requests for step in steps],
            failed=[step.failed for step in steps],
            error_rate=[step.error_rate for step in steps],
            p50_ms=[step.p50_ms for step in steps],
            p95_ms=[step.p95_ms for step in steps],
            p99_ms=[step.p99_ms for step in steps],
        )


@dataclass(frozen=True, kw_only=True)
class EndpointTotals:
    """An endpoint's sums over some time; `rejected` were refused before any variant saw them.

    `feature_faults`: what was wrong with each feature, by kind of fault; "" is a feature that the
    schema does not have.
    """

    requests: int
    failed: int
    cache_hits: int
    fallbacks: int
    fallback_kinds: dict[str, int]
    rejected: dict[str, int]
    feature_faults: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def availability(self) -> float | None:
        """Share of requests answered without an error; None without requests."""
        return 1 - self.failed / self.requests if self.requests else None
