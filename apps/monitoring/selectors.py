"""Reads over the facts, for rollouts, experiments, pages and the API.

Times select windows that overlap [since, until). Windows are a second wide for an hour and whole
minutes before that; phases are exact whatever the width.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from apps.monitoring import tiling, windows
from apps.monitoring.counts import add_counts
from apps.monitoring.errors import PeriodTooLong
from apps.monitoring.models import (
    ExposureRow,
    IngestedBatch,
    PendingRecords,
    PredictionRow,
    RejectedWindow,
    TrafficRollup,
    UnitFailure,
)
from apps.monitoring.paired import PairedAccuracy
from apps.monitoring.performance import Accuracy, PhaseAccuracy
from apps.monitoring.shadow import ShadowComparison, ShadowTraffic
from apps.monitoring.shadows import shadow_comparison
from apps.monitoring.tiling import Tile
from apps.monitoring.traffic import EndpointTotals, Line, VariantSeries, VariantTraffic
from apps.monitoring.windows import Selection

__all__ = [
    "Accuracy",
    "EndpointTotals",
    "FirstFailure",
    "Line",
    "PairedAccuracy",
    "ShadowComparison",
    "ShadowTraffic",
    "VariantExposures",
    "VariantSeries",
    "VariantTraffic",
    "accuracy",
    "endpoint_totals",
    "exposure_counts",
    "first_failures",
    "ingest_state",
    "performance",
    "requests_by_endpoint",
    "series",
    "shadow_comparison",
    "traffic",
    "traffic_by_line",
]

MAX_STEPS = 2_000
NOTHING = VariantTraffic()


class FirstFailure(NamedTuple):
    """A unit's first failure in a rollout; `share` is the candidate's share of the buckets."""

    unit: str
    variant: str
    occurred_at: datetime
    share: float
    kind: str


@dataclass(frozen=True)
class VariantExposures:
    """Distinct units that saw a variant; `mixed` of them saw another one in the same phase."""

    units: int
    mixed: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class IngestState:
    """How the ingest of the last week stands.

    `dropped` rows were lost by gateways whose spool was full; `pending_lake` batches have records
    that are not in the lake yet.
    """

    batches: int
    newest_at: datetime | None
    dropped: int
    pending_lake: int


def traffic(
    endpoint_name: str,
    since: datetime,
    until: datetime,
    phase: int | None = None,
    *,
    phases: Collection[int] | None = None,
    version_key: str | None = None,
    now: datetime | None = None,
) -> dict[str, VariantTraffic]:
    """Traffic by variant; of one phase, of several, or of all of them."""
    wanted = phases if phase is None else [phase]
    selection = Selection(endpoint=endpoint_name, phases=wanted, version_key=version_key)
    return windows.by_variant(selection, _tiles(since, until, now))


def traffic_by_line(
    endpoint_name: str, since: datetime, until: datetime, *, now: datetime | None = None
) -> dict[Line, VariantTraffic]:
    """Traffic of each version in each role that it had."""
    return windows.by_line(Selection(endpoint=endpoint_name), _tiles(since, until, now))


def series(
    endpoint_name: str,
    since: datetime,
    until: datetime,
    step_s: int,
    *,
    phases: Collection[int] | None = None,
    now: datetime | None = None,
) -> dict[Line, VariantSeries]:
    """Each version in each role over time, a point for every `step_s` seconds, or the next step
    that the windows can tell: minutes before the last hour, hours for steps of an hour and more.

    Raises PeriodTooLong for more than 2,000 points.
    """
    first, last = _seconds(since, until)
    steps = tiling.steps(first, last, step_s, now=_epoch(now))
    if steps.count > MAX_STEPS:
        raise PeriodTooLong(
            f"{steps.count} steps; at most {MAX_STEPS}: widen the step", field="step_s"
        )
    grid = [datetime.fromtimestamp(start, UTC) for start in steps.starts()]
    found = windows.by_step(Selection(endpoint=endpoint_name, phases=phases), steps)
    return {
        line: VariantSeries.of(line, steps.step_s, {at: points.get(at, NOTHING) for at in grid})
        for line, points in sorted(found.items())
    }


def accuracy(
    endpoint_name: str,
    version_key: str,
    since: datetime | None = None,
    phase: int | None = None,
    *,
    variant: str | None = None,
) -> Accuracy:
    """A version's accuracy on its own sampled predictions (fallback answers do not count)."""
    rows = _served(since).filter(endpoint=endpoint_name, version_key=version_key)
    if phase is not None:
        rows = rows.filter(phase=phase)
    if variant is not None:
        rows = rows.filter(variant=variant)
    return Accuracy(**rows.aggregate(**_right()))


def performance(version_key: str, since: datetime | None = None) -> list[PhaseAccuracy]:
    """A version's accuracy everywhere it served, newest phase first."""
    keys = ("endpoint", "variant", "phase")
    rows = (
        _served(since)
        .filter(version_key=version_key)
        .values(*keys)
        .annotate(**_right())
        .order_by("endpoint", "-phase", "variant")
        .values_list(*keys, "correct", "total", "sampled")
    )
    return [
        PhaseAccuracy(
            endpoint=endpoint,
            variant=variant,
            phase=phase,
            accuracy=Accuracy(correct=correct, total=total, sampled=sampled),
        )
        for endpoint, variant, phase, correct, total, sampled in rows
    ]


def first_failures(rollout_key: str) -> list[FirstFailure]:
    """First failures of units since a rollout began, in the order in which they happened."""
    rows = UnitFailure.objects.filter(rollout_key=rollout_key).order_by("occurred_at", "unit")
    fields = rows.values_list("unit", "variant", "occurred_at", "share", "kind")
    return [FirstFailure(*row) for row in fields]


def exposure_counts(experiment_key: str) -> dict[str, VariantExposures]:
    """Who saw what in an experiment, by variant."""
    rows = (
        ExposureRow.objects.filter(experiment_key=experiment_key)
        .exclude(experiment_key="")
        .values("variant")
        .annotate(
            units=Count("unit", distinct=True),
            mixed_units=Count("unit", distinct=True, filter=Q(mixed=True)),
            first=Min("first_at"),
            last=Max("first_at"),
        )
    )
    return {
        row["variant"]: VariantExposures(
            row["units"], row["mixed_units"], row["first"], row["last"]
        )
        for row in rows
    }


def endpoint_totals(endpoint_name: str, since: datetime, until: datetime) -> EndpointTotals:
    """An endpoint's sums, what was rejected included."""
    found = traffic(endpoint_name, since, until).values()
    rejected, faults = _refused(endpoint_name, since, until)
    return EndpointTotals(
        requests=sum(variant.requests for variant in found),
        failed=sum(variant.failed for variant in found),
        cache_hits=sum(variant.cache_hits for variant in found),
        fallbacks=sum(variant.fallbacks for variant in found),
        fallback_kinds=_summed(variant.fallback_kinds for variant in found),
        rejected=rejected,
        feature_faults=faults,
    )


def _refused(
    endpoint_name: str, since: datetime, until: datetime
) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Refused requests by reason, and every fault of their features by feature and kind."""
    rows = (
        RejectedWindow.objects.filter(
            endpoint=endpoint_name, started_at__gte=since, started_at__lt=until
        )
        .values_list("reason", "feature")
        .annotate(requests=Sum("count"), all_faults=Sum("faults"))
        .order_by("feature", "reason")
    )
    requests: dict[str, int] = {}
    faults: dict[str, dict[str, int]] = {}
    for reason, feature, refused, found in rows:
        if refused:
            add_counts(requests, {reason: refused})
        if found:
            add_counts(faults.setdefault(feature, {}), {reason.removeprefix("feature_"): found})
    return requests, faults


def requests_by_endpoint(endpoint_names: Collection[str], since: datetime) -> dict[str, int]:
    """Answers of several endpoints since a moment, by whole minutes; those with none left out."""
    rows = TrafficRollup.objects.filter(
        endpoint__in=endpoint_names, width_s=tiling.MINUTE, started_at__gte=since
    )
    counted = rows.values_list("endpoint").annotate(total=Sum("requests"))
    return {name: int(total) for name, total in counted if total}


def ingest_state() -> IngestState:
    """How the ingest of all gateways stands."""
    found = IngestedBatch.objects.aggregate(
        batches=Count("id"), newest=Max("sealed_at"), lost=Sum("dropped")
    )
    pending = PendingRecords.objects.count()
    return IngestState(found["batches"], found["newest"], int(found["lost"] or 0), pending)


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        add_counts(total, each)
    return total


def _served(since: datetime | None) -> QuerySet[PredictionRow]:
    rows = PredictionRow.objects.exclude(label="").filter(fallback="")
    return rows if since is None else rows.filter(occurred_at__gte=since)


def _right() -> dict[str, Count]:
    return {
        "sampled": Count("prediction_id"),
        "total": Count("prediction_id", filter=Q(truth__isnull=False)),
        "correct": Count("prediction_id", filter=Q(truth=F("label"))),
    }


def _seconds(since: datetime, until: datetime) -> tuple[int, int]:
    """Whole seconds that hold both ends."""
    return math.floor(since.timestamp()), math.ceil(until.timestamp())


def _epoch(now: datetime | None) -> int:
    return int((now or timezone.now()).timestamp())


def _tiles(since: datetime, until: datetime, now: datetime | None) -> list[Tile]:
    return tiling.tiles(*_seconds(since, until), now=_epoch(now))
