"""How fast one ingest process counts: batches as a busy gateway sends them, real stores, fsync on.

Prints the medians of three runs:
`ingest_records_per_s` sampled records (with their counters, exposures and share of outcomes) from
the stream to committed and acknowledged; `ingest_outcomes_per_s` outcomes of predictions that were
not sampled; `lake_records_per_s` records from Postgres to Parquet in the object store.
"""

import os
import random
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import django
import redis

from contracts.outcomes import Outcome
from contracts.records import (
    ENVELOPE_FIELD,
    STREAM_PREFIX,
    STREAMS_KEY,
    Batch,
    Counter,
    Exposure,
    Record,
    encode_batch,
)
from embedded.private import PrivateServices
from serving.sketches import Sketch

if TYPE_CHECKING:  # models load only after Django is set up
    from apps.monitoring.ingest.worker import Worker

RUNS = 3
WORKERS = 2  # as one `manage.py ingest` has
BATCHES, RECORDS, OUTCOMES = 16, 5_000, 250
SECONDS_PER_BATCH, VARIANTS = 2, ("stable", "canary")


def main() -> None:
    """Start the stores, measure, print, stop."""
    services = PrivateServices(durable=True)
    try:
        services.start_postgres()
        services.start_valkey()
        services.start_s3()
        os.environ.update(services.environment())
        os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
        django.setup()
        measure()
    finally:
        services.stop()


def measure() -> None:
    """Migrate, then time each part."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    records = [rate(mixed_batches, BATCHES * RECORDS) for _ in range(RUNS)]
    lake = lake_rate()
    outcomes = [rate(outcome_batches, BATCHES * RECORDS) for _ in range(RUNS)]
    print(f"ingest_records_per_s={statistics.median(records):.0f}")
    print(f"ingest_outcomes_per_s={statistics.median(outcomes):.0f}")
    print(f"lake_records_per_s={lake:.0f}")


def rate(make: Callable[[str], Iterator[bytes]], rows: int) -> float:
    """Rows per second from a full stream to an empty one."""
    from django.conf import settings

    from apps.monitoring.ingest.streams import Streams
    from apps.monitoring.ingest.worker import Worker

    client = redis.Redis.from_url(settings.REDIS_URL)
    stream = STREAM_PREFIX + "gateway-1"
    client.sadd(STREAMS_KEY, stream)
    for body in make(uuid.uuid4().hex):
        client.xadd(stream, {ENVELOPE_FIELD: body})
    workers = [
        Worker(Streams(client, consumer=f"bench-{n}", count=4), stop=threading.Event())
        for n in range(WORKERS)
    ]
    workers[0].step()
    began, left = time.perf_counter(), client.xlen(stream)
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(_drain, worker) for worker in workers]:
            done.result()
    spent = time.perf_counter() - began
    assert client.xlen(stream) == 0
    client.close()
    return rows * int(str(left)) / BATCHES / spent


def _drain(worker: "Worker") -> None:
    from django.db import connection

    while worker.step():
        pass
    connection.close()


def lake_rate() -> float:
    """Records per second into the lake, by one writer, over what the runs left."""
    from django.conf import settings

    from apps.monitoring.ingest.lake import LakeWriter, lake_client

    client = lake_client()
    writer = LakeWriter(client, bucket=settings.CONFIG.s3_bucket, stop=threading.Event())
    began, batches = time.perf_counter(), 0
    while batches < BATCHES and (written := writer.step()):
        batches += written
    spent = time.perf_counter() - began
    client.close()
    return batches * RECORDS / spent


def mixed_batches(boot: str) -> Iterator[bytes]:
    """What a gateway seals: counters, exposures, sampled records, and outcomes of some."""
    for seq in range(1, BATCHES + 1):
        records = _records(seq)
        outcomes = tuple(
            Outcome(
                outcome_id=uuid.uuid4().hex,
                metric="label",
                value="late",
                at=record.at + 60,
                prediction_id=record.prediction_id,
                client="app",
            )
            for record in records[:OUTCOMES]
        )
        yield encode_batch(
            Batch(
                gateway="gateway-1",
                boot=boot,
                seq=seq,
                sealed_at=time.time(),
                counters=_counters(seq),
                exposures=_exposures(seq),
                records=records,
                outcomes=outcomes,
            )
        )


def outcome_batches(boot: str) -> Iterator[bytes]:
    """Outcomes of predictions that nobody sampled, which are most of them."""
    now = time.time()
    for seq in range(1, BATCHES + 1):
        outcomes = tuple(
            Outcome(
                outcome_id=uuid.uuid4().hex,
                metric="label",
                value="late",
                at=now,
                prediction_id=uuid.uuid4().hex,
                client="app",
            )
            for _ in range(RECORDS)
        )
        sealed = Batch(gateway="gateway-1", boot=boot, seq=seq, sealed_at=now, outcomes=outcomes)
        yield encode_batch(sealed)


def _records(seq: int) -> tuple[Record, ...]:
    now = time.time()
    return tuple(
        Record(
            at=now + seq / 1_000,
            prediction_id=uuid.uuid4().hex,
            endpoint="flights",
            version="flights/2",
            variant="canary",
            phase=3,
            generation=12,
            client="app",
            unit=f"{number:032x}",
            features={"carrier": "UA", "distance": 500.0 + number, "hour": number % 24},
            prediction=random.random(),
            label="late",
            confidence=0.8,
            latency_ms=random.lognormvariate(1, 0.5),
            status="ok",
        )
        for number in range(RECORDS)
    )


def _counters(seq: int) -> tuple[Counter, ...]:
    second = int(time.time()) + seq * SECONDS_PER_BATCH
    return tuple(
        Counter(
            second=second + step,
            endpoint="flights",
            version="flights/2",
            variant=variant,
            phase=3,
            requests=RECORDS * 50,
            latency=Sketch.of(random.lognormvariate(1, 0.5) for _ in range(500)).bins,
            predictions=dict.fromkeys(range(20), 10),
        )
        for step in range(SECONDS_PER_BATCH)
        for variant in VARIANTS
    )


def _exposures(seq: int) -> tuple[Exposure, ...]:
    return tuple(
        Exposure(
            at=time.time(),
            endpoint="flights",
            phase=3,
            unit=f"{seq:016x}{number:016x}",
            variant="canary",
            version="flights/2",
        )
        for number in range(200)
    )


if __name__ == "__main__":
    main()
