"""Facts are counted once, whatever happens on the way: real Postgres, real Valkey."""

import threading

import pytest
import redis
from django.db import connection
from django.db.models import Sum

from apps.monitoring.errors import BatchAlreadyReplayed
from apps.monitoring.ingest import batches
from apps.monitoring.ingest.streams import GROUP, Delivery, Streams, consumer_name
from apps.monitoring.ingest.worker import DATABASE_ERRORS, MAX_BYTES, Worker, portions
from apps.monitoring.management.commands.ingest import run_together
from apps.monitoring.models import (
    DeadBatch,
    ExposureRow,
    IngestedBatch,
    RejectedWindow,
    TrafficWindow,
    UnitFailure,
)
from contracts.records import ACKED_KEY, STREAM_PREFIX, Rejected, encode_batch
from tests.monitoring import factories
from tests.monitoring.conftest import MakeWorker
from tests.monitoring.factories import BOOT, GATEWAY, batch, counter, send, send_bytes

pytestmark = pytest.mark.django_db(transaction=True)
STREAM = STREAM_PREFIX + GATEWAY


def drain(worker: Worker) -> None:
    while worker.step():
        pass


def _drain_apart(worker: Worker) -> None:
    """Drain in a thread, which has a database connection of its own."""
    try:
        drain(worker)
    finally:
        connection.close()


def requests() -> int:
    return int(TrafficWindow.objects.aggregate(total=Sum("requests"))["total"] or 0)


def acked(client: "redis.Redis") -> bytes | None:
    value = client.hget(ACKED_KEY, f"{GATEWAY}:{BOOT}")
    assert value is None or isinstance(value, bytes)
    return value


def test_batch__delivered_twice__counts_once(redis_client: "redis.Redis", worker: Worker) -> None:
    sealed = batch(counters=(counter(requests=5),))
    send(redis_client, sealed, sealed)
    drain(worker)
    send(redis_client, sealed)
    drain(worker)
    assert requests() == 5
    assert IngestedBatch.objects.count() == 1
    assert redis_client.xlen(STREAM) == 0


def test_counters__same_window_from_two_gateways__add_up(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    one = counter([1.0, 2.0], requests=3, errors={"model": 1})
    two = counter([2.0, 300.0], requests=4, errors={"model": 1, "timeout": 1})
    send(redis_client, batch(counters=(one,)))
    drain(worker)
    send(redis_client, batch(gateway="gateway-2", counters=(two,)))
    drain(worker)
    window = TrafficWindow.objects.get()
    assert (window.requests, window.failed) == (7, 3)
    assert window.errors == {"model": 2, "timeout": 1}
    assert sum(window.latency.values()) == 4


def test_two_workers__share_the_streams__every_batch_counts_once(
    redis_client: "redis.Redis", make_worker: MakeWorker
) -> None:
    one, two = make_worker(), make_worker()
    for seq in range(1, 101):
        send(redis_client, batch(seq, counters=(counter(requests=seq),)))
    threads = [threading.Thread(target=_drain_apart, args=(member,)) for member in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests() == 5050
    assert acked(redis_client) == b"100"


def test_worker__killed_between_commit_and_acknowledgement__counts_once(
    redis_client: "redis.Redis", make_worker: MakeWorker
) -> None:
    sealed = batch(counters=(counter(requests=5),))
    send(redis_client, sealed)
    redis_client.xgroup_create(STREAM, GROUP, id="0")
    redis_client.xreadgroup(GROUP, "killed", {STREAM: ">"})
    batches.commit(envelopes=[factories.envelope(sealed)])
    drain(make_worker())
    assert requests() == 5
    assert acked(redis_client) == b"1"
    assert redis_client.xlen(STREAM) == 0


def test_worker__cut_off_from_postgres__its_next_round_finishes_what_it_had_read(
    redis_client: "redis.Redis",
) -> None:
    patient = Streams(redis_client, consumer=consumer_name(), stale_ms=600_000)
    worker = Worker(patient, stop=threading.Event())
    worker.step()
    send(redis_client, batch(counters=(counter(requests=5),)))
    connection.connection.close()
    with pytest.raises(DATABASE_ERRORS):
        worker.step()
    connection.close()
    worker.step()
    assert requests() == 5
    assert acked(redis_client) == b"1"


def test_redis__flushed_and_sent_again__counts_once(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    sealed = [batch(seq, counters=(counter(),)) for seq in (1, 2, 3)]
    send(redis_client, *sealed)
    drain(worker)
    redis_client.flushall()
    worker.step()
    send(redis_client, *sealed, batch(4, counters=(counter(),)))
    drain(worker)
    assert requests() == 4
    assert acked(redis_client) == b"4"


def test_acknowledgement__numbers_out_of_order__waits_for_the_gap(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    seen = []
    for seq in (3, 1, 5, 2, 4):
        send(redis_client, batch(seq))
        drain(worker)
        seen.append(acked(redis_client))
    assert seen == [b"0", b"1", b"1", b"3", b"5"]


def test_batch__unreadable__set_aside_and_the_rest_counted(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    send_bytes(redis_client, b"\xc1 not a batch")
    send(redis_client, batch(counters=(counter(requests=5),)))
    drain(worker)
    assert requests() == 5
    assert DeadBatch.objects.get().seq is None
    assert redis_client.xlen(STREAM) == 0


def test_batch__refused_by_postgres__set_aside_alone_and_acknowledged(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    poison = batch(1, counters=(counter(variant="nul\x00"),))
    send(redis_client, poison, batch(2, counters=(counter(requests=5),)))
    drain(worker)
    send(redis_client, poison)
    drain(worker)
    assert requests() == 5
    assert DeadBatch.objects.get().seq == 1
    assert acked(redis_client) == b"2"


def test_outcome__that_no_table_can_hold__spares_its_batch(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    bad = factories.outcome("p1", outcome_id="x" * 10_000)
    send(redis_client, batch(counters=(counter(requests=5),), outcomes=(bad,)))
    drain(worker)
    assert requests() == 5
    assert not DeadBatch.objects.exists()


def test_exposure__seen_by_two_gateways__earliest_kept(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    late = factories.exposure("u1", at=factories.AT + 5)
    early = factories.exposure("u1", variant="stable", version="flights/1")
    send(redis_client, batch(exposures=(late,)))
    drain(worker)
    send(redis_client, batch(2, exposures=(early, factories.exposure("u2"))))
    drain(worker)
    row = ExposureRow.objects.get(unit="u1")
    assert (row.variant, row.version_key, row.mixed) == ("stable", "flights/1", True)
    assert not ExposureRow.objects.get(unit="u2").mixed


def test_failures__of_one_unit__first_kept(redis_client: "redis.Redis", worker: Worker) -> None:
    later = factories.failure("u1", at=factories.AT + 5, kind="timeout")
    send(redis_client, batch(1, failures=(later,)), batch(2, failures=(factories.failure("u1"),)))
    drain(worker)
    assert UnitFailure.objects.get().kind == "model"


def test_rejected__twice_in_a_second__added(redis_client: "redis.Redis", worker: Worker) -> None:
    refused = Rejected(
        second=int(factories.AT),
        endpoint="flights",
        reason="type",
        feature="hour",
        count=2,
        faults=3,
    )
    send(redis_client, batch(1, rejected=(refused,)), batch(2, rejected=(refused,)))
    drain(worker)
    held = RejectedWindow.objects.get()
    assert (held.count, held.faults) == (4, 6)


def test_dead_batch__replayed__counts_once(redis_client: "redis.Redis", worker: Worker) -> None:
    sealed = batch(counters=(counter(requests=5),))
    dead = batches.bury(stream=STREAM, body=encode_batch(sealed), error="for the test")
    send(redis_client, sealed)
    drain(worker)
    assert requests() == 0
    now = dead.failed_at
    batches.replay_dead_batch(actor=batches.INGEST, dead=dead, now=now)
    with pytest.raises(BatchAlreadyReplayed):
        batches.replay_dead_batch(actor=batches.INGEST, dead=dead, now=now)
    assert requests() == 5


def test_portions__large_deliveries__split_in_order() -> None:
    sizes = [MAX_BYTES // 2, MAX_BYTES // 2, 1, MAX_BYTES * 2, 3]
    deliveries = [Delivery(STREAM, b"", b"x" * size) for size in sizes]
    parts = [[len(item.body) for item in part] for part in portions(deliveries)]
    assert parts == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:]]


def test_run_together__one_job_fails__the_others_stop_and_it_is_told() -> None:
    stop = threading.Event()

    def wait() -> None:
        stop.wait(30)

    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run_together([wait, fail], stop=stop)
