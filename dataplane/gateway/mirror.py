"""Shadows: rows that were answered are asked of another version too, and both answers compared.

Nothing here can delay or fail what is served. It begins when the answer is on its way; a shadow
has batchers of its own with one call under way at a time, gets nothing while its Triton has a
queue, and what finds no room is not mirrored, and counted. Its failures count as its own.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from dataplane import spool
from dataplane.gateway.batchers import Batchers
from dataplane.gateway.batching import Call, Prepare
from dataplane.gateway.carry import carried
from dataplane.gateway.facts import Facts, is_sampled
from dataplane.gateway.problems import Refusal
from dataplane.gateway.replicas import Channels
from dataplane.gateway.row import Row
from dataplane.gateway.table import Mirrored, Variant
from dataplane.spool import ANONYMOUS, PINNED, Compared, SpoolWriter
from serving.labels import Answer
from serving.validation import InvalidFeatures, SchemaError

CALLS_AT_ONCE = 1
BUSY_BATCHES = 4  # rows outstanding at a Triton, in full batches, from which on it is left alone
TELL_DROPPED_S = 1.0
MISFIT = "features"

Pair = tuple[Variant, Variant]
Count = Callable[[str, str, str], None]


class ShadowRow(Row):
    """A row as the shadow gets it, with what was served. Times in ms; None = no model was asked."""

    __slots__ = ("segments", "served", "served_answer", "served_ms")
    segments: tuple[str, ...]
    served: Variant
    served_answer: Answer
    served_ms: float | None


class Mirrors:
    """`observe` sees served rows; `settled` is where the shadows' micro-batches come out.

    `count` gets the endpoint, the shadow's version and what became of each row.
    """

    def __init__(self, *, writer: SpoolWriter, facts: Facts, count: Count) -> None:
        self._writer = writer
        self._facts = facts
        self._count = count
        self._in_flight: Counter[tuple[str, str]] = Counter()
        self._under_way: Counter[Pair] = Counter()
        self._dropped: Counter[Pair] = Counter()
        self._telling: asyncio.TimerHandle | None = None
        self._channels: Channels
        self._batchers: Batchers

    def start(self, channels: Channels, preparing: Callable[[Variant], Prepare | None]) -> None:
        """Call it on the event loop; `preparing` is what completes a variant's rows."""
        self._channels = channels
        self._batchers = Batchers(
            channels, finish=self.settled, max_in_flight=CALLS_AT_ONCE, preparing=preparing
        )

    def keep_only(self, variants: set[Variant]) -> None:
        """Forget what no table mentions any more."""
        self._batchers.keep_only(variants)

    def observe(self, row: Row) -> None:
        """A row was answered by the model assigned, or from its cache: mirror it if it is due."""
        if row.fallback or row.flags & PINNED:
            return
        for mirror in row.endpoint.mirrors:
            if mirror.variant is not row.variant and mirror.share.has(row.unit):
                self._mirror(row, mirror)

    def settled(self, call: Call) -> None:
        """Shadows answered, or failed: write down how they compare."""
        now, at = time.perf_counter(), time.time()
        found: list[ShadowRow] = []
        for row in call.rows:
            if isinstance(row, ShadowRow):
                self._in_flight[_key(row.variant)] -= 1
                self._under_way[row.served, row.variant] -= 1
                row.latency_ms = (now - row.started) * 1_000
                if row.error == "overload":  # it waited too long here: no fault of the shadow's
                    self._drop(row.served, row.variant)
                else:
                    found.append(row)
        self._write(found, at)

    def close(self) -> None:
        """Write down what is not written yet; what is under way counts as not mirrored."""
        self._dropped += self._under_way
        self._tell_dropped()

    def _mirror(self, row: Row, mirror: Mirrored) -> None:
        variant = mirror.variant
        if self._in_flight[_key(variant)] >= mirror.max_in_flight or self._is_busy(variant):
            self._drop(row.variant, variant)
            return
        shadow = _shadow_of(row, mirror)
        try:
            shadow.values = carried(row.values, row.variant, variant)
            self._batchers.of(variant).submit(shadow)
        except Refusal:
            self._drop(row.variant, variant)
        except (InvalidFeatures, SchemaError):
            shadow.detail = MISFIT
            self._write([shadow], time.time())
        else:
            self._in_flight[_key(variant)] += 1
            self._under_way[row.variant, variant] += 1

    def _is_busy(self, variant: Variant) -> bool:
        """Whether even the least busy Triton of the shadow has a queue."""
        rows = (self._channels.at(address).rows for address in variant.spec.addresses)
        return min(rows, default=0) >= BUSY_BATCHES * variant.limits.max_batch

    def _drop(self, served: Variant, shadow: Variant) -> None:
        self._dropped[served, shadow] += 1
        self._count(shadow.endpoint, shadow.spec.version, "dropped")
        if self._telling is None:
            loop = asyncio.get_running_loop()
            self._telling = loop.call_later(TELL_DROPPED_S, self._tell_dropped)

    def _write(self, rows: Sequence[ShadowRow], at: float) -> None:
        if not rows:
            return
        for row in rows:
            self._count(row.variant.endpoint, row.variant.spec.version, _status(row))

        def build(writer: SpoolWriter) -> list[bytes]:
            made = [spool.compared_frame(at, [_compared(writer, row) for row in rows])]
            return made + [
                self._sample(writer, row, at)
                for row in rows
                if is_sampled(row) and row.detail != MISFIT
            ]

        self._writer.append(build, rows=len(rows))

    def _sample(self, writer: SpoolWriter, row: ShadowRow, at: float) -> bytes:
        """The shadow's prediction in full, beside the served one that was sampled too."""
        sample = self._facts.sample(
            row, writer.context(row.variant.serial, row.variant.context), at
        )
        name = f"{row.prediction_id}/{row.variant.key}"
        return spool.sample_frame(
            msgspec.structs.replace(sample, prediction_id=name, shadow_of=row.prediction_id)
        )

    def _tell_dropped(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        dropped, at = +self._dropped, time.time()
        if not dropped:
            return

        def build(writer: SpoolWriter) -> list[bytes]:
            return [
                spool.unmirrored_frame(
                    spool.Unmirrored(
                        at,
                        writer.context(served.serial, served.context),
                        writer.context(shadow.serial, shadow.context),
                        count,
                    )
                )
                for (served, shadow), count in dropped.items()
            ]

        self._writer.append(build, rows=dropped.total())
        self._dropped.clear()


def _shadow_of(row: Row, mirror: Mirrored) -> ShadowRow:
    """The row for the shadow: its own deadline from now on, nobody who waits for it."""
    shadow = ShadowRow(
        endpoint=row.endpoint,
        variant=mirror.variant,
        unit=row.unit,
        bucket=row.bucket,
        client=row.client,
        flags=row.flags & ANONYMOUS,
        generation=row.generation,
        prediction_id=row.prediction_id,
        started=time.perf_counter(),
        user=row.user,
    )
    assert row.answer is not None  # noqa: S101 - only answered rows are observed
    shadow.served, shadow.served_answer = row.variant, row.answer
    shadow.served_ms = _call_ms(row)
    shadow.segments = mirror.segmenters[row.variant.key].of(row.values)
    return shadow


def _call_ms(row: Row) -> float | None:
    """How long the model took; None for a row that was answered without one."""
    if row.cache_hit or not row.sent_at:
        return None
    return row.latency_ms - (row.sent_at - row.started) * 1_000


def _compared(writer: SpoolWriter, row: ShadowRow) -> Compared:
    served, shadow = row.served_answer, row.answer
    numbers = (
        writer.context(row.served.serial, row.served.context),
        writer.context(row.variant.serial, row.variant.context),
    )
    if shadow is None:
        return Compared(*numbers, _status(row), row.segments)
    return Compared(
        *numbers,
        _status(row),
        row.segments,
        None if served.index < 0 else served.label == shadow.label,
        served.score,
        shadow.score,
        row.served_ms,
        _call_ms(row),
    )


def _status(row: ShadowRow) -> str:
    if row.detail == MISFIT:
        return MISFIT
    return "ok" if row.answer is not None else row.error or "internal"


def _key(variant: Variant) -> tuple[str, str]:
    """A mirror, whatever the generation of the table."""
    return variant.endpoint, variant.key
