"""Several gateway processes on one port, under one parent."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import msgspec
import psutil
import pytest

from benchmarks import rig
from contracts.records import ENVELOPE_FIELD, STREAM_PREFIX, decode_batch
from contracts.routing import REPORT_KEY, GatewayReport, Guardrail
from dataplane.gateway.siblings import merged
from embedded.processes import start
from tests.dataplane.gateway.site import Site, eventually
from tests.dataplane.gateway.test_lifecycle import Traffic

NAMES = ("gateway-1.1", "gateway-1.2")
GUARDRAIL = Guardrail(rollout="r1", candidate="canary", baseline="stable")


@pytest.fixture
def pair(site: Site) -> Iterator[Site]:
    """Two processes that serve one version, and a recorder beside them.

    Their second client, with the key "k2", may ask thirty times.
    """
    few = rig.client("few", "k2", requests_per_second=0.001, burst=30)
    site.publisher.publish_clients(rig.client(), few, revision=2)
    site.publisher.publish(site.endpoint())
    site.start(GATEWAY_PROCESSES="2")
    recorder = start(rig.recorder_process(site.environment), log=site.state.parent / "recorder.log")
    try:
        eventually(lambda: all(generation(site, name) == 1 for name in NAMES), 20)
        yield site
    finally:
        recorder.stop()


def report(site: Site, name: str) -> GatewayReport | None:
    data = site.redis.get(REPORT_KEY + name)
    return msgspec.json.decode(data, type=GatewayReport) if isinstance(data, bytes) else None


def generation(site: Site, name: str) -> int:
    told = report(site, name)
    return told.generation if told is not None else 0


def children(site: Site) -> list[psutil.Process]:
    assert site.running is not None
    return psutil.Process(site.running.pid).children()


def counted(site: Site, name: str) -> int:
    """Requests in the facts that this process shipped."""
    entries: Any = site.redis.xrange(STREAM_PREFIX + name)
    batches = [decode_batch(fields[ENVELOPE_FIELD.encode()]) for _, fields in entries]
    return sum(counter.requests for batch in batches for counter in batch.counters)


def test_processes__asked_many_times__both_answer_count_and_ship(pair: Site) -> None:
    assert {pair.predict(f"u{number}").status for number in range(60)} == {200}
    text = pair.get("/metrics").body.decode()
    assert text.count("# TYPE switchyard_gateway_predictions_total counter") == 1
    assert all(f'connections{{process="{name}"}}' in text for name in NAMES)
    eventually(lambda: sum(counted(pair, name) for name in NAMES) == 60)
    body = {"model": "rig", "features": rig.example()}
    few = [pair.post("/v1/predict", body, key="k2").status for _ in range(60)]
    assert (few.count(200), few.count(429)) == (30, 30)
    assert all(counted(pair, name) for name in NAMES)


def test_process__killed__comes_back_under_its_name_as_another_boot(pair: Site) -> None:
    before = {name: told.boot for name in NAMES if (told := report(pair, name))}
    children(pair)[0].send_signal(signal.SIGKILL)
    eventually(lambda: len(children(pair)) == 2, 20)

    def boots() -> dict[str, str]:
        return {name: told.boot for name in NAMES if (told := report(pair, name))}

    eventually(lambda: sum(boots().get(name) != before[name] for name in NAMES) == 1, 20)
    eventually(lambda: pair.predict().status == 200)


def test_processes__sigterm_mid_traffic__answer_what_was_asked(pair: Site) -> None:
    clients = [Traffic(pair) for _ in range(3)]
    for client in clients:
        client.start()
    eventually(lambda: all(len(client.statuses) > 30 for client in clients), 20)
    pair.stop()
    statuses = [status for client in clients for status in client.halt()]
    assert set(statuses) == {200}
    eventually(lambda: sum(counted(pair, name) for name in NAMES) == len(statuses))


@pytest.mark.proof
def test_parent__killed__its_children_drain_and_end(pair: Site) -> None:
    orphans = children(pair)
    assert pair.running is not None
    os.kill(pair.running.pid, signal.SIGKILL)
    assert not psutil.wait_procs(orphans, timeout=15)[1]


@pytest.mark.proof
def test_candidate__fails_at_either_process__both_withdraw_and_keep_to_it(pair: Site) -> None:
    pair.publisher.publish(pair.canary(2_000, guardrails=(GUARDRAIL,)))
    eventually(lambda: all(generation(pair, name) == 2 for name in NAMES))
    for number in range(60):
        pair.predict(f"user-{number}", code=99 if is_canary(pair, number) else 1)
    eventually(lambda: all(overrides(pair, name) for name in NAMES))
    children(pair)[0].send_signal(signal.SIGKILL)
    eventually(lambda: len(children(pair)) == 2, 20)
    eventually(lambda: all(overrides(pair, name) for name in NAMES), 20)
    assert "wealth" in pair.log()


def is_canary(site: Site, number: int) -> bool:
    return bool(site.predict(f"user-{number}").json().get("variant") == "canary")


def overrides(site: Site, name: str) -> bool:
    told = report(site, name)
    return told is not None and told.overrides == ("r1:canary",)


def test_merged__texts_of_two__has_each_family_once_with_labelled_samples() -> None:
    texts = dict.fromkeys("pq", b'# TYPE a gauge\na 1\n# TYPE b counter\nb{x="y"} 2\n')
    assert merged(texts).decode().splitlines() == [
        "# TYPE a gauge",
        'a{process="p"} 1',
        'a{process="q"} 1',
        "# TYPE b counter",
        'b{process="p",x="y"} 2',
        'b{process="q",x="y"} 2',
    ]
