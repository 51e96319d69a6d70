"""Reads of what shadows said, summed by Postgres over whole hours and minutes."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from apps.monitoring import tiling
from apps.monitoring.models import ShadowWindow
from apps.monitoring.paired import PairedAccuracy
from apps.monitoring.shadow import ShadowComparison, ShadowTraffic, by_agreement
from serving.sketches import Sketch

WHOLE = ("rows", "labelled", "agreements", "timed", "dropped")
REAL = ("shift_sum", "shift_squares", "delay_sum_ms", "delay_squares")
SKETCHES = ("shifts", "baseline_latency", "shadow_latency")
COUNTS = (*SKETCHES, "errors")
KEYS = ("endpoint", "version_key", "baseline_key", "segment")

# A shadow's label stands beside the prediction that was served moments before it.
TRUTH = """
SELECT shadow.endpoint, shadow.version_key, served.version_key, count(*),
    count(*) FILTER (WHERE truth = shadow.label AND truth = served.label),
    count(*) FILTER (WHERE truth = shadow.label AND truth <> served.label),
    count(*) FILTER (WHERE truth <> shadow.label AND truth = served.label),
    count(*) FILTER (WHERE truth <> shadow.label AND truth <> served.label)
FROM monitoring_shadowprediction shadow JOIN monitoring_predictionrow served
    ON served.prediction_id = shadow.prediction_id
    AND served.occurred_at <= shadow.occurred_at
    AND served.occurred_at > shadow.occurred_at - interval '1 hour'
WHERE served.label <> '' AND served.fallback = ''
    AND shadow.occurred_at >= %(since)s AND shadow.occurred_at < %(until)s
    AND served.occurred_at > %(since)s - interval '1 hour' AND served.occurred_at < %(until)s
    AND (%(endpoint)s::text IS NULL OR shadow.endpoint = %(endpoint)s)
    AND (%(version_key)s::text IS NULL OR shadow.version_key = %(version_key)s)
GROUP BY 1, 2, 3
"""

Key = tuple[str, str, str, str]
Pair = tuple[str, str, str]
_bins = msgspec.json.Decoder(dict[int, int])
_kinds = msgspec.json.Decoder(dict[str, int])


def shadow_comparison(
    endpoint_name: str | None = None,
    version_key: str | None = None,
    since: datetime | None = None,
    segment: str | None = None,
    *,
    until: datetime | None = None,
) -> list[ShadowComparison]:
    """Shadows beside what was served, those with the most rows first.

    Of one endpoint and of one shadow version, or of all; of whole minutes from `since` (default:
    all that is kept) to `until`; with every segment, or only the one named. A comparison of too
    few rows is there as well, and says so.
    """
    found = _traffic(_where(endpoint_name, version_key, segment), _tiles(since, until))
    if not found:
        return []
    truth = _truth(endpoint_name, version_key, since, until or timezone.now())
    grouped: dict[Pair, dict[str, ShadowTraffic]] = defaultdict(dict)
    for (endpoint, version, baseline, name), traffic in found.items():
        grouped[endpoint, version, baseline][name] = traffic
    comparisons = [
        ShadowComparison(
            endpoint=endpoint,
            version=version,
            baseline=baseline,
            traffic=segments.pop("", ShadowTraffic()),
            segments=by_agreement(segments),
            truth=truth.get((endpoint, version, baseline), PairedAccuracy()),
        )
        for (endpoint, version, baseline), segments in sorted(grouped.items())
    ]
    return sorted(comparisons, key=lambda each: -each.traffic.rows)


def _truth(
    endpoint: str | None, version_key: str | None, since: datetime | None, until: datetime
) -> dict[Pair, PairedAccuracy]:
    """How often each shadow and each baseline beside it were right, on sampled rows."""
    first = since or datetime.fromtimestamp(0, UTC)
    minute = first.replace(second=0, microsecond=0)
    wanted = {"endpoint": endpoint, "version_key": version_key, "since": minute, "until": until}
    with connection.cursor() as cursor:
        cursor.execute(TRUTH, wanted)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    names = ("sampled", "both", "shadow_only", "baseline_only", "neither")
    return {row[:3]: PairedAccuracy(**dict(zip(names, row[3:], strict=True))) for row in rows}


def _tiles(since: datetime | None, until: datetime | None) -> list[tiling.Tile]:
    """Whole hours, and minutes at the ends: there are no seconds here."""
    last = tiling.ceil(int((until or timezone.now()).timestamp()) + 1, tiling.MINUTE)
    first = 0 if since is None else tiling.floor(int(since.timestamp()), tiling.MINUTE)
    return tiling.tiles(first, last, now=last)


def _where(
    endpoint: str | None, version_key: str | None, segment: str | None
) -> tuple[str, dict[str, Any]]:
    wanted = {"endpoint": endpoint, "version_key": version_key}
    given = {name: value for name, value in wanted.items() if value is not None}
    conditions = [f"{name} = %({name})s" for name in given]
    if segment is not None:
        conditions.append("segment = ANY(%(segments)s)")
    return " AND ".join(conditions) or "true", {**given, "segments": ["", segment or ""]}


def _traffic(
    where: tuple[str, dict[str, Any]], tiles: Iterable[tiling.Tile]
) -> dict[Key, ShadowTraffic]:
    """The sums of each endpoint, shadow, baseline and segment."""
    condition, parameters = where
    parts = []
    for number, tile in enumerate(tiles):
        parameters |= {f"since_{number}": tile.since, f"until_{number}": tile.until}
        parts.append(
            f"(width_s = {tile.width_s:d} AND started_at >= to_timestamp(%(since_{number})s)"
            f" AND started_at < to_timestamp(%(until_{number})s))"
        )
    if not parts:
        return {}
    sums = ", ".join(
        [
            *(f"sum({name})::float8" for name in (*WHOLE, *REAL)),
            *(f"monitoring_sum_counts({name})::text" for name in COUNTS),
        ]
    )
    keys = ", ".join(KEYS)
    statement = (
        f"SELECT {keys}, {sums} FROM {ShadowWindow._meta.db_table}"  # noqa: S608  # names of this module
        f" WHERE {condition} AND ({' OR '.join(parts)}) GROUP BY {keys}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return {row[: len(KEYS)]: _sums(row[len(KEYS) :]) for row in rows}


def _sums(row: tuple[Any, ...]) -> ShadowTraffic:
    values: dict[str, Any] = dict(zip((*WHOLE, *REAL, *COUNTS), row, strict=True))
    values |= {name: int(values[name]) for name in WHOLE}
    values |= {name: Sketch(_bins.decode(values[name])) for name in SKETCHES}
    return ShadowTraffic(**{**values, "errors": _kinds.decode(values["errors"])})
