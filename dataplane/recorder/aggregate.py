"""From a segment to one batch of facts: the same segment always gives the same counts."""

from collections import Counter as Tally
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from contracts.records import (
    PREDICTION_BINS,
    Batch,
    Counter,
    Exposure,
    FallbackKind,
    Record,
    Rejected,
)
from dataplane import spool
from dataplane.recorder.binning import latency_bins, tally
from dataplane.recorder.comparisons import comparisons_of
from dataplane.recorder.segments import Contents, RowBlock, Segment
from dataplane.spool import Context, Rejection, Sample

ROW_TYPE = np.dtype(
    [
        ("unit", "V16"),
        ("latency_ms", "<f4"),
        ("score", "<f4"),
        ("index", "<i2"),
        ("status", "u1"),
        ("flags", "u1"),
    ]
)
MAX_REMEMBERED = 2_000_000
UNANSWERED = [spool.STATUS_CODES[kind] for kind in spool.UNANSWERED]

Rows = npt.NDArray[Any]


@dataclass
class SeenUnits:
    """Where each unit was seen first, per boot and phase. Forgetting only repeats exposures."""

    _seen: dict[tuple[str, str, int], dict[bytes, int]] = field(default_factory=dict)
    _size: int = 0

    def first_here(self, segment: Segment, context: Context, units: Iterable[bytes]) -> list[bytes]:
        """Those units that no earlier segment has; the same when a segment is read again."""
        if self._size > MAX_REMEMBERED:
            self._seen.clear()
            self._size = 0
        seen = self._seen.setdefault((segment.boot, context.endpoint, context.phase), {})
        before = len(seen)
        first = [unit for unit in units if seen.setdefault(unit, segment.seq) == segment.seq]
        self._size += len(seen) - before
        return first


def batch_of(
    segment: Segment, contents: Contents, *, gateway: str, sealed_at: float, seen: SeenUnits
) -> Batch:
    """The envelope for one segment."""
    tables = {number: _table(blocks) for number, blocks in contents.rows.items() if blocks}
    contexts = contents.contexts
    return Batch(
        gateway=gateway,
        boot=segment.boot,
        seq=segment.seq,
        sealed_at=sealed_at,
        counters=tuple(
            counter
            for number, (ats, rows) in tables.items()
            for counter in _counters(contexts[number], ats, rows, contents.rows[number])
        ),
        rejected=_rejected(contents.rejections),
        exposures=tuple(
            exposure
            for number, (ats, rows) in tables.items()
            for exposure in _exposures(segment, contexts[number], ats, rows, seen)
        ),
        failures=tuple(contents.failures),
        records=tuple(_record(context, sample) for context, sample in contents.samples),
        outcomes=tuple(contents.outcomes),
        comparisons=comparisons_of(contents),
        dropped=contents.dropped,
    )


def _table(blocks: list[RowBlock]) -> tuple[npt.NDArray[np.float64], Rows]:
    """Times of answer and rows of one context, in order."""
    rows = np.frombuffer(b"".join(block.data for block in blocks), dtype=ROW_TYPE)
    sizes = [len(block.data) // ROW_TYPE.itemsize for block in blocks]
    return np.repeat([block.at for block in blocks], sizes), rows


def _counters(
    context: Context, ats: npt.NDArray[np.float64], rows: Rows, blocks: list[RowBlock]
) -> list[Counter]:
    """One a second; a second may have calls alone, when other variants answered their rows."""
    seconds = ats.astype(np.int64)
    return [
        _counter(context, second, rows[seconds == second], _calls(blocks, second))
        for second in sorted({int(block.at) for block in blocks})
    ]


def _calls(blocks: list[RowBlock], second: int) -> tuple[int, int]:
    """Calls to Triton and rows sent in them, within one second."""
    mine = [block for block in blocks if int(block.at) == second]
    return sum(block.calls for block in mine), sum(block.rows_sent for block in mine)


def _counter(context: Context, second: int, rows: Rows, calls: tuple[int, int]) -> Counter:
    good = rows[rows["status"] == 0]
    own = good[(good["flags"] & spool.FALLBACK) == 0]
    scores = own["score"].astype(np.float64)
    return Counter(
        second=second,
        endpoint=context.endpoint,
        version=context.version,
        variant=context.variant,
        phase=context.phase,
        requests=len(rows),
        errors=_errors(rows),
        cache_hits=_flagged(rows, spool.CACHE_HIT),
        fallbacks=_flagged(rows, spool.FALLBACK),
        fallback_kinds=_fallback_kinds(rows),
        pinned=_flagged(rows, spool.PINNED),
        lookup_misses=_flagged(rows, spool.LOOKUP_MISSED),
        lookup_unread=_flagged(rows, spool.LOOKUP_UNREAD),
        latency=tally(latency_bins(good["latency_ms"].astype(np.float64))),
        latency_sum_ms=float(good["latency_ms"].astype(np.float64).sum()),
        predictions=tally(_score_bins(scores)) if context.scored else {},
        prediction_sum=float(scores.sum()),
        positives=int((own["index"] == 1).sum()) if context.scored else 0,
        batches=calls[0],
        batch_rows=calls[1],
    )


def _errors(rows: Rows) -> dict[str, int]:
    counts = tally(rows["status"])
    return {spool.STATUSES[code]: count for code, count in counts.items() if code}


def _fallback_kinds(rows: Rows) -> dict[str, int]:
    """Fallbacks by what answered, and what was answered with 503 for want of any."""
    how = rows["flags"] & spool.INSTEAD
    instead = (rows["flags"] & spool.FALLBACK) != 0
    unanswered = np.isin(rows["status"], UNANSWERED) & (how != spool.INSTEAD)
    found: dict[FallbackKind, int] = {
        "stale": int(np.count_nonzero(instead & (how == 0))),
        "variant": int(np.count_nonzero(instead & (how == spool.BY_VARIANT))),
        "default": int(np.count_nonzero(instead & (how == spool.BY_DEFAULT))),
        "503": int(np.count_nonzero(unanswered)),
    }
    return {kind: count for kind, count in found.items() if count}


def _flagged(rows: Rows, flag: int) -> int:
    return int(np.count_nonzero(rows["flags"] & flag))


def _score_bins(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.clip((scores * PREDICTION_BINS).astype(np.int64), 0, PREDICTION_BINS - 1)


def _exposures(
    segment: Segment, context: Context, ats: npt.NDArray[np.float64], rows: Rows, seen: SeenUnits
) -> list[Exposure]:
    """Units that this boot sees for the first time in this phase.

    Pinned requests were not assigned. An anonymous unit never returns: it is an exposure only
    where an experiment counts it.
    """
    skip = spool.PINNED if context.experiment else spool.PINNED | spool.ANONYMOUS
    chosen = (rows["flags"] & skip) == 0
    units = [bytes(unit) for unit in rows["unit"][chosen]]
    first = dict(zip(reversed(units), reversed(ats[chosen].tolist()), strict=True))
    new = seen.first_here(segment, context, dict.fromkeys(units))
    return [
        Exposure(
            at=first[unit],
            endpoint=context.endpoint,
            phase=context.phase,
            unit=unit.hex(),
            variant=context.variant,
            version=context.version,
            experiment=context.experiment,
            rollout=context.rollout,
        )
        for unit in new
    ]


def _rejected(rejections: list[Rejection]) -> tuple[Rejected, ...]:
    """Requests by what was first wrong with them, and beside them all their faults."""
    requests: Tally[tuple[int, str, str, str]] = Tally()
    faults: Tally[tuple[int, str, str, str]] = Tally()
    for each in rejections:
        second = int(each.at)
        requests[second, each.endpoint, each.reason, each.feature] += 1
        for reason, feature, times in each.faults:
            faults[second, each.endpoint, reason, feature] += times
    return tuple(
        Rejected(
            second=key[0],
            endpoint=key[1],
            reason=key[2],
            feature=key[3],
            count=requests[key],
            faults=faults[key],
        )
        for key in sorted(requests.keys() | faults.keys())
    )


def _lookup(flags: int) -> Literal["", "missed", "unread"]:
    if flags & spool.LOOKUP_UNREAD:
        return "unread"
    return "missed" if flags & spool.LOOKUP_MISSED else ""


def _record(context: Context, sample: Sample) -> Record:
    return Record(
        at=sample.at,
        prediction_id=sample.prediction_id,
        endpoint=context.endpoint,
        version=context.version,
        variant=context.variant,
        phase=context.phase,
        generation=sample.generation,
        client=sample.client,
        unit=sample.unit.hex(),
        features=sample.features,
        prediction=sample.prediction,
        label=sample.label,
        confidence=sample.confidence,
        latency_ms=sample.latency_ms,
        status=spool.STATUSES[sample.status],
        bucket=sample.bucket,
        experiment=context.experiment,
        rollout=context.rollout,
        cache_hit=bool(sample.flags & spool.CACHE_HIT),
        lookup=_lookup(sample.flags),
        fallback=sample.fallback,
        sample_rate=context.sample_rate,
        route=sample.route,
        asked=sample.asked,
        shadow_of=sample.shadow_of,
        trace=sample.trace,
    )
