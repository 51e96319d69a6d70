"""The loop: read, commit, settle, acknowledge. Any step may fail; the next round does it again."""

import threading
import time
from collections.abc import Iterator, Sequence

import django.db
import msgspec
import psycopg
import redis
import structlog
from django.db import connection

from apps.monitoring.ingest import batches, metrics, settlement
from apps.monitoring.ingest.batches import Committed, Envelope
from apps.monitoring.ingest.streams import Delivery, Streams
from apps.monitoring.models import DeadBatch, PendingRecords

log = structlog.get_logger(__name__)
BLOCK_MS = 500
# Decoded, a batch takes about ten times its bytes.
MAX_BYTES = 16 * 1024 * 1024
CLAIM_EVERY_S = 5.0
HOUSEKEEPING_EVERY_S = 15.0
BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
DATABASE_ERRORS = (django.db.Error, psycopg.Error)
BACK_OFF_ON = (redis.RedisError, *DATABASE_ERRORS)


class Worker:
    """One member of the consumer group. `stop` ends `run` after the round at hand."""

    def __init__(self, streams: Streams, *, stop: threading.Event) -> None:
        self._streams = streams
        self._stop = stop
        self._unfinished: list[Delivery] = []
        self._claimed_at = self._kept_house_at = -HOUSEKEEPING_EVERY_S

    def run(self) -> None:
        """Work until `stop` is set, through outages of Redis and Postgres."""
        failures = 0
        while not self._stop.is_set():
            try:
                self.step(block_ms=BLOCK_MS)
                failures = 0
            except BACK_OFF_ON as error:
                log.warning("ingest.interrupted", error=str(error), attempt=failures + 1)
                connection.close()
                self._stop.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
        connection.close()

    def step(self, *, block_ms: int = 0) -> int:
        """One round; how many stream entries it finished. What fails is the next round's first."""
        self._streams.discover()
        self._unfinished = self._unfinished or self._claim()
        self._keep_house()
        self._unfinished = self._unfinished or self._streams.read(block_ms=block_ms)
        deliveries = self._unfinished
        for part in portions(deliveries):
            self.handle(part)
        self._unfinished = []
        if not self._streams.known:
            self._stop.wait(block_ms / 1000)
        return len(deliveries)

    def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Commit, settle and acknowledge what was read. Raises what the services raise."""
        with metrics.COMMIT_SECONDS.time():
            read = Reading(deliveries)
            committed = self._commit(read.envelopes)
            ingested = settlement.settle(committed=committed, boots=read.boots, oldest=read.boots)
            self._streams.acknowledge(ingested)
            self._streams.finish(deliveries)
        _count(committed, read)

    def _claim(self) -> list[Delivery]:
        now = time.monotonic()
        if now - self._claimed_at < CLAIM_EVERY_S:
            return []
        deliveries = self._streams.claim()
        if not deliveries:
            self._claimed_at = now
        return deliveries

    def _commit(self, envelopes: Sequence[tuple[Delivery, Envelope]]) -> Committed:
        """All at once; where Postgres refuses the content, one by one to find the culprit."""
        if not envelopes:
            return Committed()
        try:
            return batches.commit(envelopes=[envelope for _, envelope in envelopes])
        except DATABASE_ERRORS as error:
            if not batches.is_content_fault(error):
                raise
            if len(envelopes) == 1:
                _bury(envelopes[0][0], error)
                return Committed()
        return sum((self._commit([envelope]) for envelope in envelopes), Committed())

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now - self._kept_house_at < HOUSEKEEPING_EVERY_S:
            return
        self._kept_house_at = now
        settlement.settle_forgotten()
        self._streams.forget_dead_consumers()
        for name, entries in self._streams.backlog().items():
            metrics.BACKLOG.labels(name).set(entries)
        metrics.PENDING_RECORDS.set(PendingRecords.objects.count())


def portions(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Deliveries in their order, as many at once as a transaction should hold."""
    portion: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        if portion and size + len(delivery.body) > MAX_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(delivery)
        size += len(delivery.body)
    if portion:
        yield portion


class Reading:
    """What deliveries hold: batches, and the boots to report on, each with the lowest number
    that its gateway still has. Buries what cannot be read."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.envelopes: list[tuple[Delivery, Envelope]] = []
        self.boots: dict[tuple[str, str], int] = {}
        for delivery in deliveries:
            self._read(delivery)

    def _read(self, delivery: Delivery) -> None:
        try:
            envelope = Envelope.read(delivery.body)
        except msgspec.DecodeError as error:
            dead = _bury(delivery, error)
            if dead.seq is not None:
                self._note((dead.gateway, dead.boot), delivery)
            return
        self.envelopes.append((delivery, envelope))
        self._note((envelope.batch.gateway, envelope.batch.boot), delivery)

    def _note(self, boot: tuple[str, str], delivery: Delivery) -> None:
        self.boots[boot] = max(delivery.oldest, self.boots.get(boot, 1))


def _bury(delivery: Delivery, error: Exception) -> DeadBatch:
    metrics.BATCHES.labels("dead").inc()
    return batches.bury(stream=delivery.stream, body=delivery.body, error=str(error))


def _count(committed: Committed, read: Reading) -> None:
    new = len(committed.batches)
    metrics.BATCHES.labels("new").inc(new)
    metrics.BATCHES.labels("duplicate").inc(max(0, len(read.envelopes) - new))
    metrics.REFUSED_OUTCOMES.inc(committed.refused_outcomes)
    metrics.DROPPED.inc(committed.dropped)
    if committed.dropped:
        log.warning("ingest.gateway_dropped_rows", rows=committed.dropped)
    for kind, rows in committed.rows.items():
        metrics.ROWS.labels(kind).inc(rows)
    if read.envelopes:
        newest = max(envelope.batch.sealed_at for _, envelope in read.envelopes)
        metrics.LAG.set(time.time() - newest)
