"""Batches folded into rows: pure, and the same whatever the order in which they come."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from apps.monitoring.counts import add_counts
from apps.monitoring.ingest.shadows import ShadowKey, ShadowSums
from apps.monitoring.tiling import MINUTE, floor
from contracts.outcomes import Outcome
from contracts.records import (
    Batch,
    Comparison,
    Counter,
    Exposure,
    Failure,
    Record,
    Rejected,
)

MAX_TEXT = 500
LATEST = 4_102_444_800.0  # the year 2100: later times are somebody's mistake of unit


@dataclass(slots=True)
class Window:
    """The sums of all counters with one key."""

    requests: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    cache_hits: int = 0
    fallbacks: int = 0
    fallback_kinds: dict[str, int] = field(default_factory=dict)
    pinned: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    latency_sum_ms: float = 0.0
    predictions: dict[int, int] = field(default_factory=dict)
    prediction_sum: float = 0.0
    positives: int = 0
    batches: int = 0
    batch_rows: int = 0
    lookup_misses: int = 0
    lookup_unread: int = 0

    @property
    def failed(self) -> int:
        """Errors of every kind."""
        return sum(self.errors.values())

    def add(self, counts: "Counter | Window") -> None:
        """Add what a gateway counted, or another window."""
        self.requests += counts.requests
        self.cache_hits += counts.cache_hits
        self.fallbacks += counts.fallbacks
        self.pinned += counts.pinned
        self.latency_sum_ms += counts.latency_sum_ms
        self.prediction_sum += counts.prediction_sum
        self.positives += counts.positives
        self.batches += counts.batches
        self.batch_rows += counts.batch_rows
        self.lookup_misses += counts.lookup_misses
        self.lookup_unread += counts.lookup_unread
        add_counts(self.errors, counts.errors)
        add_counts(self.fallback_kinds, counts.fallback_kinds)
        add_counts(self.latency, counts.latency)
        add_counts(self.predictions, counts.predictions)


@dataclass(frozen=True, slots=True)
class FirstExposure:
    """The earliest exposure of a unit in a phase; `mixed` if there were several variants."""

    exposure: Exposure
    mixed: bool = False

    def merged(self, other: Exposure) -> "FirstExposure":
        """The earlier of both."""
        first = min(self.exposure, other, key=lambda seen: (seen.at, seen.variant))
        return FirstExposure(first, self.mixed or self.exposure.variant != other.variant)


WindowKey = tuple[int, str, str, str, int]
Windows = dict[WindowKey, Window]
RejectedKey = tuple[int, str, str, str]


@dataclass(slots=True)
class Facts:
    """What some batches say together; every key occurs once."""

    windows: Windows = field(default_factory=dict)
    rejected: dict[RejectedKey, tuple[int, int]] = field(default_factory=dict)
    exposures: dict[tuple[str, int, str], FirstExposure] = field(default_factory=dict)
    failures: dict[tuple[str, str], Failure] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    shadow_labels: dict[tuple[str, str], Record] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    shadows: dict[ShadowKey, ShadowSums] = field(default_factory=dict)
    refused_outcomes: int = 0
    dropped: int = 0

    def add(self, batch: Batch) -> None:
        """Add all that one batch says."""
        self.dropped += batch.dropped
        for counter in batch.counters:
            self._count(counter)
        for rejected in batch.rejected:
            self._reject(rejected)
        for exposure in batch.exposures:
            self._expose(exposure)
        for failure in batch.failures:
            self._fail(failure)
        for record in batch.records:
            if not record.shadow_of:
                self.records.setdefault(record.prediction_id, record)
            elif record.label:
                self.shadow_labels.setdefault((record.shadow_of, record.version), record)
        for comparison in batch.comparisons:
            self._compare(comparison)
        for outcome in batch.outcomes:
            self._observe(outcome)

    def sizes(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        return {
            "windows": len(self.windows),
            "rejected": len(self.rejected),
            "exposures": len(self.exposures),
            "failures": len(self.failures),
            "records": len(self.records),
            "shadow_labels": len(self.shadow_labels),
            "outcomes": len(self.outcomes),
            "shadows": len(self.shadows),
        }

    def _count(self, counter: Counter) -> None:
        key = (counter.second, counter.endpoint, counter.version, counter.variant, counter.phase)
        self.windows.setdefault(key, Window()).add(counter)

    def _reject(self, rejected: Rejected) -> None:
        feature = clean(rejected.feature)
        key = (rejected.second, clean(rejected.endpoint), rejected.reason, feature)
        count, faults = self.rejected.get(key, (0, 0))
        self.rejected[key] = (count + rejected.count, faults + rejected.faults)

    def _expose(self, exposure: Exposure) -> None:
        key = (exposure.endpoint, exposure.phase, exposure.unit)
        known = self.exposures.get(key)
        self.exposures[key] = known.merged(exposure) if known else FirstExposure(exposure)

    def _fail(self, failure: Failure) -> None:
        key = (failure.rollout, failure.unit)
        known = self.failures.get(key)
        if known is None or (failure.at, failure.variant) < (known.at, known.variant):
            self.failures[key] = failure

    def _compare(self, found: Comparison) -> None:
        minute, segment = floor(found.second, MINUTE), clean(found.segment)
        key = (minute, found.endpoint, found.shadow, found.baseline, segment)
        self.shadows.setdefault(key, ShadowSums()).add(found)

    def _observe(self, outcome: Outcome) -> None:
        if storable(outcome):
            self.outcomes.setdefault((outcome.client, outcome.outcome_id), outcome)
        else:
            self.refused_outcomes += 1


def fold(batches: Iterable[Batch]) -> Facts:
    """What the batches say together."""
    facts = Facts()
    for batch in batches:
        facts.add(batch)
    return facts


def rolled_up(windows: Windows, width_s: int) -> Windows:
    """Windows of a second, added up to windows of `width_s` seconds."""
    wide: Windows = {}
    for (second, endpoint, version, variant, phase), window in windows.items():
        key = (second // width_s * width_s, endpoint, version, variant, phase)
        wide.setdefault(key, Window()).add(window)
    return wide


def clean(text: str) -> str:
    """A caller's text as Postgres can hold and index it."""
    return text[:MAX_TEXT].replace("\x00", "\ufffd")


def storable(outcome: Outcome) -> bool:
    """Whether an outcome, whose texts and times are an application's, can be kept as it is."""
    texts = [outcome.outcome_id, outcome.metric, outcome.prediction_id, outcome.unit]
    if isinstance(outcome.value, str):
        texts.append(outcome.value)
    elif not math.isfinite(outcome.value):
        return False
    times = (outcome.at, outcome.received_at)
    return (
        bool(outcome.outcome_id)
        and all(len(text) <= MAX_TEXT and "\x00" not in text for text in texts)
        and all(0 <= time <= LATEST for time in times)
    )


def value_text(value: float | str) -> str:
    """An outcome's value as text: 1.0 reads "1", as labels do."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() else repr(value)
