"""Step 7 of the request path: what was served goes to the spool before the answer leaves."""

import math
import os
import time
from collections.abc import Sequence
from itertools import groupby

import xxhash

from contracts.outcomes import Outcome
from contracts.records import Failure
from dataplane import spool
from dataplane.gateway.batching import Call
from dataplane.gateway.problems import Refusal
from dataplane.gateway.row import Row
from dataplane.gateway.table import Variant
from dataplane.gateway.units import UnitHasher
from serving.validation import Value

SCORE_MAX = 3.4e38
NO_COST = (0, 0)
_pack_row = spool.ROW.pack
_OK = spool.STATUS_CODES["ok"]


class PredictionIds:
    """UUIDs of version 7: milliseconds, 58 bits drawn at boot, a counter."""

    def __init__(self) -> None:
        drawn = os.urandom(7).hex()
        self._boot = f"7{drawn[:3]}-8{drawn[3:6]}-{drawn[6:10]}"
        self._count = 0

    def next(self) -> str:
        """A fresh id."""
        self._count = count = (self._count + 1) & 0xFFFFFFFF
        now = int(time.time() * 1_000)
        return f"{now >> 16:08x}-{now & 0xFFFF:04x}-{self._boot}{count:08x}"


class Facts:
    """Turns what happened into frames of the spool, one write per micro-batch."""

    def __init__(self, writer: spool.SpoolWriter, units: UnitHasher) -> None:
        self._writer = writer
        self._units = units

    def answered(self, call: Call, at: float, failures: Sequence[Failure]) -> None:
        """A micro-batch is settled: its rows, the sampled ones in full, first failures."""

        def build(writer: spool.SpoolWriter) -> list[bytes]:
            made = [spool.failure_frame(failure) for failure in failures]
            cost = (call.calls, call.rows_sent)
            for variant, rows in groupby(call.rows, _variant_of):
                mine = cost if variant is call.asked else NO_COST
                made += self._row_frames(writer, variant, list(rows), at, mine)
                cost = NO_COST if mine is cost else cost
            if call.asked is not None and cost[0]:  # all its rows belong, or went, elsewhere
                made += self._row_frames(writer, call.asked, [], at, cost)
            return made

        self._writer.append(build, rows=len(call.rows))

    def rejected(self, refusal: Refusal, at: float) -> None:
        """A request was refused before it was a prediction."""
        faults = tuple(
            (f"feature_{kind}", feature, times) for (kind, feature), times in refusal.faults.items()
        )
        rejection = spool.Rejection(at, refusal.endpoint, refusal.reason, refusal.feature, faults)
        frame = spool.rejection_frame(rejection)
        self._writer.append(lambda _: (frame,), rows=1)

    def outcomes(self, outcomes: Sequence[Outcome]) -> bool:
        """Labels and metrics from an application; False when there was no room for them."""
        frame = spool.outcomes_frame(outcomes)
        return self._writer.append(lambda _: (frame,), rows=len(outcomes))

    def _row_frames(
        self,
        writer: spool.SpoolWriter,
        variant: Variant,
        rows: list[Row],
        at: float,
        cost: tuple[int, int],
    ) -> list[bytes]:
        number = writer.context(variant.serial, variant.context)
        packed = [_packed(row) for row in rows]
        made = [spool.rows_frame(number, at, packed, calls=cost[0], rows_sent=cost[1])]
        if variant.sample_below:
            sampled = [row for row in rows if is_sampled(row)]
            made += [spool.sample_frame(self.sample(row, number, at)) for row in sampled]
        return made

    def sample(self, row: Row, context: int, at: float) -> spool.Sample:
        """A settled row in full; `context` is its variant's number in the segment."""
        answer = row.answer
        return spool.Sample(
            context=context,
            at=at,
            prediction_id=row.prediction_id,
            generation=row.generation,
            client=row.client,
            unit=row.unit,
            bucket=row.bucket,
            features=self._recorded(row),
            prediction=answer.score if answer else None,
            label=answer.label if answer else "",
            confidence=answer.confidence if answer else None,
            latency_ms=row.latency_ms,
            status=_OK if answer else spool.STATUS_CODES[row.error or "internal"],
            flags=row.flags,
            fallback=row.fallback,
            trace=row.trace.id if row.trace else "",
            route=row.route.rule if row.route else "",
            asked=row.route.asked if row.route else "",
        )

    def _recorded(self, row: Row) -> dict[str, Value]:
        """The features without what the schema keeps private: dropped, or hashed with our key."""
        features = row.variant.schema.as_dict(row.values)
        for name, treatment in row.variant.private.items():
            value = features.pop(name)
            if treatment == "hash" and value is not None:
                features[name] = self._units.passing(str(value)).hex()
        return features


def _variant_of(row: Row) -> Variant:
    return row.variant


def _packed(row: Row) -> bytes:
    answer = row.answer
    if answer is None:
        status = spool.STATUS_CODES[row.error or "internal"]
        flags = row.flags if row.refusal is None else row.flags | spool.INSTEAD
        return _pack_row(row.unit, row.latency_ms, spool.NO_SCORE, -1, status, flags)
    score = answer.score
    if not -SCORE_MAX <= score <= SCORE_MAX:  # a regression in double precision
        score = math.copysign(SCORE_MAX, score)
    return _pack_row(row.unit, row.latency_ms, score, answer.index, _OK, row.flags)


def is_sampled(row: Row) -> bool:
    """Whether a row is recorded in full: by its prediction's id, the same for its shadow."""
    return xxhash.xxh3_64_intdigest(row.prediction_id.encode()) < row.variant.sample_below
