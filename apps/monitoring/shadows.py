"""Reads of what shadows said, summed by Postgres over whole hours and minutes."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from apps.monitoring import tiling
from apps.monitoring.models import ShadowWindow
from apps.monitoring.shadow import ShadowComparison, ShadowTraffic, by_agreement
from serving.sketches import Sketch

WHOLE = ("rows", "labelled", "agreements", "timed", "dropped")
REAL = ("shift_sum", "shift_squares", "delay_sum_ms", "delay_squares")
SKETCHES = ("shifts", "baseline_latency", "shadow_latency")
COUNTS = (*SKETCHES, "errors")
KEYS = ("endpoint", "version_key", "baseline_key", "segment")

Key = tuple[str, str, str, str]
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
    grouped: dict[tuple[str, str, str], dict[str, ShadowTraffic]] = defaultdict(dict)
    for (endpoint, version, baseline, name), traffic in found.items():
        grouped[endpoint, version, baseline][name] = traffic
    comparisons = [
        ShadowComparison(
            endpoint=endpoint,
            version=version,
            baseline=baseline,
            traffic=segments.pop("", ShadowTraffic()),
            segments=by_agreement(segments),
        )
        for (endpoint, version, baseline), segments in sorted(grouped.items())
    ]
    return sorted(comparisons, key=lambda each: -each.traffic.rows)


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
