"""Sums over traffic windows, merged by Postgres: what comes back is as small as the answer."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.monitoring.traffic import VariantTraffic
from serving.sketches import Sketch

WHOLE = (
    "requests",
    "failed",
    "cache_hits",
    "fallbacks",
    "pinned",
    "positives",
    "batches",
    "batch_rows",
)
REAL = ("latency_sum_ms", "prediction_sum")
ALL_COUNTS = ("errors", "latency", "predictions")
CHOSEN = """
    endpoint = %(endpoint)s AND started_at < %(until)s
    AND started_at >= %(since)s - interval '59 seconds'
    AND started_at + (width_s - 1) * interval '1 second' >= %(since)s
    AND (%(phases)s::int[] IS NULL OR phase = ANY(%(phases)s::int[]))
    AND (%(version_key)s::text IS NULL OR version_key = %(version_key)s::text)
"""
# A minute that began before the first step belongs to it.
STEP = """
    to_timestamp(%(origin)s + greatest(0, floor(
        (extract(epoch FROM started_at)::float8 - %(origin)s) / %(step)s)) * %(step)s)
"""
BY_VARIANT = ("variant",)
BY_STEP = ("variant", STEP)

Key = tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which windows: those that overlap [since, until), `since` taken down to its second.

    `phases` and `version_key` None mean all.
    """

    endpoint: str
    since: datetime
    until: datetime
    phases: Collection[int] | None = None
    version_key: str | None = None

    def parameters(self) -> dict[str, Any]:
        """What CHOSEN refers to."""
        return {
            "endpoint": self.endpoint,
            "since": self.since.replace(microsecond=0),
            "until": self.until,
            "phases": None if self.phases is None else list(self.phases),
            "version_key": self.version_key,
        }


def by_variant(selection: Selection) -> dict[str, VariantTraffic]:
    """Traffic of each variant."""
    parameters = selection.parameters()
    sums = _sums(BY_VARIANT, parameters)
    counts = _counts(BY_VARIANT, ALL_COUNTS, parameters)
    return {str(key[0]): _traffic(row, counts.get(key, {})) for key, row in sums.items()}


def by_step(
    selection: Selection, *, origin: datetime, step_s: int
) -> dict[str, dict[datetime, VariantTraffic]]:
    """Traffic of each variant (without predictions) in each step since `origin` that has any."""
    parameters = selection.parameters() | {"origin": origin.timestamp(), "step": step_s}
    sums = _sums(BY_STEP, parameters)
    counts = _counts(BY_STEP, ("errors", "latency"), parameters)
    found: dict[str, dict[datetime, VariantTraffic]] = defaultdict(dict)
    for key, row in sums.items():
        variant, at = key
        if isinstance(at, datetime):
            found[str(variant)][at] = _traffic(row, counts.get(key, {}))
    return found


def _sums(by: tuple[str, ...], parameters: dict[str, Any]) -> dict[Key, list[float]]:
    """Sums of WHOLE and REAL, by what `by` computes."""
    sums = ", ".join(f"sum({name})::float8" for name in (*WHOLE, *REAL))
    statement = (
        f"SELECT {', '.join(by)}, {sums} FROM monitoring_trafficwindow"  # noqa: S608  # names above
        f" WHERE {CHOSEN} GROUP BY {_ordinals(len(by))}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {row[: len(by)]: list(row[len(by) :]) for row in cursor.fetchall()}


def _counts(
    by: tuple[str, ...], kinds: tuple[str, ...], parameters: dict[str, Any]
) -> dict[Key, dict[str, dict[str, int]]]:
    """Counts by kind and bin, by what `by` computes."""
    pairs = ", ".join(f"('{kind}', {kind})" for kind in kinds)
    statement = (
        f"SELECT {', '.join(by)}, kinds.kind, bin.key, sum(bin.value::bigint)::bigint"  # noqa: S608  # names above
        f" FROM monitoring_trafficwindow, LATERAL (VALUES {pairs}) AS kinds (kind, counts),"
        " LATERAL jsonb_each_text(kinds.counts) AS bin"
        f" WHERE {CHOSEN} GROUP BY {_ordinals(len(by) + 2)}"
    )
    found: dict[Key, dict[str, dict[str, int]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        for *key, kind, index, count in cursor.fetchall():
            found.setdefault(tuple(key), {}).setdefault(kind, {})[index] = count
    return found


def _ordinals(count: int) -> str:
    return ", ".join(str(number) for number in range(1, count + 1))


def _traffic(sums: list[float], counts: Mapping[str, dict[str, int]]) -> VariantTraffic:
    whole = {name: int(value) for name, value in zip(WHOLE, sums, strict=False)}
    latency_sum_ms, prediction_sum = sums[len(WHOLE) :]
    return VariantTraffic(
        **whole,
        latency_sum_ms=latency_sum_ms,
        prediction_sum=prediction_sum,
        errors=counts.get("errors", {}),
        latency=Sketch(_by_number(counts.get("latency", {}))),
        predictions=_by_number(counts.get("predictions", {})),
    )


def _by_number(counts: Mapping[str, int]) -> dict[int, int]:
    return {int(index): count for index, count in counts.items()}
