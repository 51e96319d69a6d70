"""Equal questions through a running gateway: asked once, answered each, counted honestly."""

import asyncio
import json
import socket
import time
from typing import Any

import pytest

from benchmarks import rig
from contracts.policy import Cache, Policy
from contracts.routing import Limits
from dataplane.gateway.cache import Entry, Place
from dataplane.gateway.shared import SharedCache
from serving.labels import Answer
from tests.dataplane.gateway.site import Site, eventually

CROWD, CONNECTIONS = 1_000, 20
PLACE = Place("rig", 100, b"k" * 32)
ENTRY = Entry(time.time(), 0.01, Answer(0.5, 1, "late", 0.5), b"")


@pytest.fixture
def cached(served: Site) -> Site:
    """The module's gateway with an empty cache, in memory and in Redis."""
    serve(served, cache=None)
    for key in served.redis.scan_iter("switchyard:cache:*"):
        served.redis.delete(key)
    return served


def serve(site: Site, cache: Cache | None, **changes: Any) -> None:
    site.publish(site.endpoint(policy=Policy(cache=cache), sample_rate=1.0, **changes))


def total(site: Site, name: str, label: str = "") -> float:
    """The sum of a metric's samples that carry the label."""
    lines = site.get("/metrics").body.decode().splitlines()
    found = [
        line for line in lines if line.startswith(f"switchyard_gateway_{name}") and label in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def test_predict__asked_again__answers_from_the_cache_under_an_id_of_its_own(cached: Site) -> None:
    serve(cached, Cache())
    rows = total(cached, "batch_rows_total")
    first, second = cached.predict("u1").json(), cached.predict("u2").json()
    assert [first["cache_hit"], second["cache_hit"]] == [False, True]
    assert first["prediction_id"] != second["prediction_id"]
    assert first["prediction"] == second["prediction"]
    assert total(cached, "batch_rows_total") == rows + 1
    assert cached.predict("u1", x0=0.75).json()["cache_hit"] is False


def test_instances__equal_ones_in_a_list__are_one_row_at_triton(cached: Site) -> None:
    serve(cached, Cache())
    rows = total(cached, "batch_rows_total")
    features = [rig.example(x0=0.5), *[rig.example(x0=0.25)] * 30, rig.example(x0=0.5)]
    reply = cached.post("/v1/predict", {"model": "rig", "instances": features, "user_id": "u1"})
    predictions = reply.json()["predictions"]
    assert total(cached, "batch_rows_total") == rows + 2
    assert [each["cache_hit"] for each in predictions].count(False) == 2
    assert len({each["prediction_id"] for each in predictions}) == 32
    assert len({each["prediction"] for each in predictions}) == 2


def test_facts__hits__are_counted_and_recorded_as_hits(cached: Site) -> None:
    serve(cached, Cache(), phase=17)
    for _ in range(3):
        cached.predict()
    eventually(lambda: counted(cached, 17) == (3, 2, 1))
    records = [each for batch in cached.batches() for each in batch.records if each.phase == 17]
    assert sorted(each.cache_hit for each in records) == [False, True, True]


def counted(site: Site, phase: int) -> tuple[int, int, int]:
    """Requests, cache hits and rows that Triton got."""
    found = [c for batch in site.batches() for c in batch.counters if c.phase == phase]
    hits, sent = sum(c.cache_hits for c in found), sum(c.batch_rows for c in found)
    return sum(c.requests for c in found), hits, sent


def test_entry__after_its_time__is_asked_for_again(cached: Site) -> None:
    serve(cached, Cache(ttl_s=0.3))
    cached.predict()
    eventually(lambda: cached.predict().json()["cache_hit"] is False)


def test_pinned__version_asked_for__is_always_asked(cached: Site) -> None:
    serve(cached, Cache())
    replies = [cached.predict(version="1.0.0").json() for _ in range(2)]
    assert [reply["cache_hit"] for reply in replies] == [False, False]


async def test_stampede__a_thousand_equal_requests__make_one_row(cached: Site) -> None:
    serve(cached, Cache(shared=False), limits=Limits(deadline_ms=30_000))
    rows = total(cached, "batch_rows_total")
    with cached.hanging_triton():
        crowd = [asyncio.create_task(ask(cached, CROWD // CONNECTIONS)) for _ in range(CONNECTIONS)]
        await asyncio.to_thread(
            eventually, lambda: total(cached, "cache_waiting") == CROWD - 1, seconds=20
        )
    answers = b"".join(await asyncio.gather(*crowd))
    assert answers.count(b"HTTP/1.1 200 OK") == CROWD
    assert answers.count(b'"cache_hit":true') == CROWD - 1
    assert total(cached, "batch_rows_total") == rows + 1


async def ask(site: Site, times: int) -> bytes:
    """Send the same request so often over one connection, pipelined, and read every answer."""
    body = b'{"model":"rig","user_id":"u","features":%b}' % json.dumps(rig.example(x7=7.7)).encode()
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {rig.CLIENT_KEY}\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    request = head.encode() + b"\r\n" + body
    last = head.encode() + b"Connection: close\r\n\r\n" + body
    writer.write(request * (times - 1) + last)
    answers = await reader.read(-1)
    writer.close()
    return answers


def test_shared__another_memory__finds_the_entry_in_redis(cached: Site) -> None:
    serve(cached, Cache())
    cached.predict()
    eventually(lambda: any(cached.redis.scan_iter("switchyard:cache:rig:*")))
    serve(cached, None)
    serve(cached, Cache())
    assert cached.predict().json()["cache_hit"] is True
    assert total(cached, "cache_rows_total", 'result="shared"') == 1


def test_shared__what_redis_holds_was_tampered_with__is_a_miss(cached: Site) -> None:
    serve(cached, Cache())
    cached.predict()
    eventually(lambda: any(cached.redis.scan_iter("switchyard:cache:rig:*")))
    name = next(cached.redis.scan_iter("switchyard:cache:rig:*"))
    held: Any = cached.redis.get(name)
    cached.redis.set(name, held[:-1] + bytes([held[-1] ^ 1]))
    serve(cached, None)
    serve(cached, Cache())
    assert cached.predict().json()["cache_hit"] is False


async def found(shared: SharedCache) -> Entry | None:
    waiting: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
    shared.get(PLACE, waiting.set_result)
    return await asyncio.wait_for(waiting, 5)


async def test_shared__redis_away__is_a_miss_and_then_not_asked_for_a_while() -> None:
    shared = SharedCache("redis://127.0.0.1:9/0", secret=b"s", budget_s=5.0)
    assert await found(shared) is None
    assert shared.away
    shared.put(PLACE, ENTRY, 10)
    await shared.close()


async def test_shared__redis_silent__costs_no_more_than_the_budget() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        shared = SharedCache(f"redis://127.0.0.1:{port}/0", secret=b"s", budget_s=0.01)
        assert await found(shared) is None
        assert shared.away
        await shared.close()


async def test_shared__written__is_read_by_those_with_the_same_secret(cached: Site) -> None:
    url = cached.environment["REDIS_URL"]
    one, other = (SharedCache(url, secret=s, budget_s=5.0) for s in (b"s", b"t"))
    one.put(PLACE, ENTRY, 10)
    await asyncio.to_thread(eventually, lambda: any(cached.redis.scan_iter("switchyard:cache:*")))
    assert await found(one) == ENTRY
    assert await found(other) is None
    await one.close()
    await other.close()
