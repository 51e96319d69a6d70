"""Postgres was restored from a backup: gateways have deleted what it no longer knows."""

from typing import Any

import pytest
import redis

from apps.monitoring.ingest.worker import Worker
from apps.monitoring.models import GatewayBoot, IngestedBatch, TrafficWindow
from contracts.records import ACKED_KEY, OLDEST_FIELD, STREAM_PREFIX
from tests.monitoring.factories import BOOT, GATEWAY, batch, counter, send

pytestmark = pytest.mark.django_db(transaction=True)


def acked(client: "redis.Redis") -> object:
    return client.hget(ACKED_KEY, f"{GATEWAY}:{BOOT}")


def drain(worker: Worker) -> None:
    while worker.step():
        pass


def forget_after(seq: int) -> None:
    """As a backup that was made after batch `seq` would have it."""
    IngestedBatch.objects.filter(seq__gt=seq).delete()
    GatewayBoot.objects.update(contiguous_seq=seq)
    TrafficWindow.objects.all().delete()


def test_restored__batches_deleted_by_the_gateway__are_not_waited_for(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    send(redis_client, *(batch(seq, counters=(counter(),)) for seq in range(1, 6)))
    drain(worker)
    forget_after(2)
    send(redis_client, *(batch(seq, counters=(counter(),)) for seq in (6, 7)), oldest=6)
    drain(worker)
    assert acked(redis_client) == b"7"
    assert TrafficWindow.objects.get().requests == 2


def test_gap__that_the_gateway_still_has__is_waited_for(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    send(redis_client, batch(3), oldest=1)
    drain(worker)
    assert acked(redis_client) == b"0"


def test_entry__of_an_older_recorder__starts_at_one(
    redis_client: "redis.Redis", worker: Worker
) -> None:
    send(redis_client, batch(1))
    entries: Any = redis_client.xrange(STREAM_PREFIX + GATEWAY)
    assert OLDEST_FIELD.encode() not in entries[0][1]
    drain(worker)
    assert acked(redis_client) == b"1"
