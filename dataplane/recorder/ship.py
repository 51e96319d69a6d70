"""Brings segments to Redis, and deletes them when their facts are committed, not before."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import redis
import structlog

from contracts.records import (
    ACKED_KEY,
    ENVELOPE_FIELD,
    OLDEST_FIELD,
    STREAM_PREFIX,
    STREAMS_KEY,
    encode_batch,
)
from dataplane.recorder import segments
from dataplane.recorder.aggregate import SeenUnits, batch_of
from dataplane.recorder.segments import Contents, Segment

log = structlog.get_logger()


@dataclass
class Shipment:
    """A segment that was sent: its entry in the stream, and when (monotonic seconds)."""

    entry: str
    at: float


@dataclass
class Shipper:
    """Ships finished segments in order, at most `window` of them unacknowledged.

    A segment whose entry has left the stream without being acknowledged within `reship_s` (Redis
    lost it) is shipped again; whoever ingests it counts it once.
    """

    root: Path
    gateway: str
    client: "redis.Redis"
    window: int = 64
    reship_s: float = 10.0
    clock: Callable[[], float] = time.monotonic
    _shipped: dict[Segment, Shipment] = field(default_factory=dict)
    _seen: SeenUnits = field(default_factory=SeenUnits)

    @property
    def stream(self) -> str:
        """The stream of this gateway."""
        return STREAM_PREFIX + self.gateway

    def turn(self) -> int:
        """Delete what is committed, ship what is due; how many segments were shipped.

        Raises redis.RedisError.
        """
        waiting = self._delete_committed(segments.finished(self.root))
        self._shipped = {each: self._shipped[each] for each in waiting if each in self._shipped}
        due = [each for each in waiting[: self.window] if self._is_due(each)]
        if due:
            self.client.sadd(STREAMS_KEY, self.stream)
        oldest: dict[str, int] = {}
        for segment in waiting:
            oldest.setdefault(segment.boot, segment.seq)
        for segment in due:
            self._ship(segment, oldest[segment.boot])
        if not waiting:
            segments.sweep(self.root)
        return len(due)

    def _delete_committed(self, found: list[Segment]) -> list[Segment]:
        """Those segments that are not committed yet."""
        boots = sorted({segment.boot for segment in found})
        if not boots:
            return []
        fields = [f"{self.gateway}:{boot}" for boot in boots]
        acked = cast(list[bytes | None], self.client.hmget(ACKED_KEY, fields))
        committed = {boot: int(seq or 0) for boot, seq in zip(boots, acked, strict=True)}
        waiting = []
        for segment in found:
            if segment.seq <= committed[segment.boot]:
                segment.path.unlink(missing_ok=True)
            else:
                waiting.append(segment)
        return waiting

    def _is_due(self, segment: Segment) -> bool:
        shipment = self._shipped.get(segment)
        if shipment is None:
            return True
        if self.clock() - shipment.at < self.reship_s:
            return False
        if self.client.xrange(self.stream, shipment.entry, shipment.entry):
            shipment.at = self.clock()  # it waits there: the ingest side is slow or away
            return False
        log.warning("segment.lost_in_redis", boot=segment.boot, seq=segment.seq)
        return True

    def _ship(self, segment: Segment, oldest: int) -> None:
        batch = batch_of(
            segment,
            _read(segment),
            gateway=self.gateway,
            sealed_at=segment.path.stat().st_mtime,
            seen=self._seen,
        )
        entry = self.client.xadd(
            self.stream, {ENVELOPE_FIELD: encode_batch(batch), OLDEST_FIELD: oldest}
        )
        self._shipped[segment] = Shipment(bytes(cast(bytes, entry)).decode(), self.clock())


def _read(segment: Segment) -> Contents:
    """The segment's facts. Unreadable bytes leave an empty batch: `seq` must have no gap."""
    try:
        return segments.read(segment.path)
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        log.error("segment.unreadable", path=str(segment.path), error=str(error))
        return Contents()
