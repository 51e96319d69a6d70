"""Sums over traffic windows, merged by Postgres: what comes back is as small as the answer."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import connection

from apps.monitoring.tiling import SECOND, Steps, Tile
from apps.monitoring.traffic import Line, VariantTraffic
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
    "lookup_misses",
    "lookup_unread",
)
REAL = ("latency_sum_ms", "prediction_sum")
ALL_COUNTS = ("errors", "fallback_kinds", "latency", "predictions")
BY_VARIANT = ("variant",)
BY_LINE = ("variant", "version_key")
BY_STEP = (
    *BY_LINE,
    "floor((extract(epoch FROM started_at) - %(origin)s::bigint) / %(step)s::bigint)::int",
)

Key = tuple[object, ...]
_bins = msgspec.json.Decoder(dict[int, int])
_kinds = msgspec.json.Decoder(dict[str, int])


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which windows of an endpoint; `phases` and `version_key` None mean all."""

    endpoint: str
    phases: Collection[int] | None = None
    version_key: str | None = None


def by_variant(selection: Selection, tiles: Iterable[Tile]) -> dict[str, VariantTraffic]:
    """Traffic of each variant over all tiles."""
    source = _Source(selection, tuple(tiles))
    sums = source.sums(BY_VARIANT)
    counts = source.counts(BY_VARIANT, ALL_COUNTS)
    return {str(key[0]): _traffic(row, counts[key]) for key, row in sums.items()}


def by_line(selection: Selection, tiles: Iterable[Tile]) -> dict[Line, VariantTraffic]:
    """Traffic of each version in each role over all tiles."""
    source = _Source(selection, tuple(tiles))
    sums = source.sums(BY_LINE)
    counts = source.counts(BY_LINE, ALL_COUNTS)
    return {Line(*map(str, key)): _traffic(row, counts[key]) for key, row in sums.items()}


def by_step(selection: Selection, steps: Steps) -> dict[Line, dict[datetime, VariantTraffic]]:
    """Traffic of each version in each role (without predictions) in each step that has any."""
    source = _Source(selection, (steps.tile,), {"origin": steps.origin, "step": steps.step_s})
    sums = source.sums(BY_STEP)
    counts = source.counts(BY_STEP, ("errors", "latency"))
    starts = [datetime.fromtimestamp(start, UTC) for start in steps.starts()]
    found: dict[Line, dict[datetime, VariantTraffic]] = defaultdict(dict)
    for key, row in sums.items():
        variant, version, number = map(str, key)
        found[Line(variant, version)][starts[int(number)]] = _traffic(row, counts[key])
    return found


class _Source:
    """The windows of a selection in some tiles, as one relation to sum over."""

    def __init__(
        self, selection: Selection, tiles: tuple[Tile, ...], more: dict[str, Any] | None = None
    ) -> None:
        self._parameters: dict[str, Any] = {
            "endpoint": selection.endpoint,
            "phases": None if selection.phases is None else list(selection.phases),
            "version_key": selection.version_key,
            **(more or {}),
        }
        self._relation = " UNION ALL ".join(
            self._select(number, tile) for number, tile in enumerate(tiles or (Tile(SECOND, 0, 0),))
        )

    def _select(self, number: int, tile: Tile) -> str:
        """One tile; constants rather than a join, so that only its partitions are opened."""
        self._parameters[f"since_{number}"] = tile.since
        self._parameters[f"until_{number}"] = tile.until
        rolled_up = f" AND width_s = {tile.width_s:d}"
        table, width = ("window", "") if tile.width_s == SECOND else ("rollup", rolled_up)
        columns = ", ".join((*BY_LINE, "started_at", *WHOLE, *REAL, *ALL_COUNTS))
        return (
            f"SELECT {columns} FROM monitoring_traffic{table}"  # noqa: S608  # names of this module
            f" WHERE endpoint = %(endpoint)s{width}"
            f" AND started_at >= to_timestamp(%(since_{number})s)"
            f" AND started_at < to_timestamp(%(until_{number})s)"
            " AND (%(phases)s::int[] IS NULL OR phase = ANY(%(phases)s::int[]))"
            " AND (%(version_key)s::text IS NULL OR version_key = %(version_key)s::text)"
        )

    def sums(self, by: tuple[str, ...]) -> dict[Key, list[float]]:
        """Sums of WHOLE and REAL, by what `by` computes."""
        sums = ", ".join(f"sum({name})::float8" for name in (*WHOLE, *REAL))
        rows = self._rows(
            f"SELECT {', '.join(by)}, {sums} FROM ({self._relation}) AS chosen"  # noqa: S608  # as above
            f" GROUP BY {_ordinals(len(by))}"
        )
        return {row[: len(by)]: list(row[len(by) :]) for row in rows}

    def counts(self, by: tuple[str, ...], kinds: tuple[str, ...]) -> dict[Key, dict[str, str]]:
        """Counts of each kind as JSON, by what `by` computes."""
        keys = ", ".join(f"key_{number}" for number in range(len(by)))
        named = ", ".join(f"{what} AS key_{number}" for number, what in enumerate(by))
        pairs = ", ".join(f"('{kind}', {kind})" for kind in kinds)
        rows = self._rows(
            f"SELECT {keys}, kind, json_object_agg(bin, count)::text FROM ("  # noqa: S608  # as above
            f" SELECT {named}, kinds.kind, bin.key AS bin, sum(bin.value::bigint)::bigint AS count"
            f" FROM ({self._relation}) AS chosen,"
            f" LATERAL (VALUES {pairs}) AS kinds (kind, counts),"
            " LATERAL jsonb_each_text(kinds.counts) AS bin"
            f" GROUP BY {_ordinals(len(by) + 2)}) AS bins GROUP BY {_ordinals(len(by) + 1)}"
        )
        found: dict[Key, dict[str, str]] = defaultdict(dict)
        for *key, kind, counts in rows:
            found[tuple(key)][kind] = counts
        return found

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, self._parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _ordinals(count: int) -> str:
    return ", ".join(str(number) for number in range(1, count + 1))


def _traffic(sums: list[float], counts: dict[str, str]) -> VariantTraffic:
    whole = {name: int(value) for name, value in zip(WHOLE, sums, strict=False)}
    latency_sum_ms, prediction_sum = sums[len(WHOLE) :]
    return VariantTraffic(
        **whole,
        latency_sum_ms=latency_sum_ms,
        prediction_sum=prediction_sum,
        errors=_kinds.decode(counts.get("errors", "{}")),
        fallback_kinds=_kinds.decode(counts.get("fallback_kinds", "{}")),
        latency=Sketch(_bins.decode(counts.get("latency", "{}"))),
        predictions=_bins.decode(counts.get("predictions", "{}")),
    )
