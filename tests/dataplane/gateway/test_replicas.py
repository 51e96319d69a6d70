"""Several Tritons behind one variant: what happens to one of them is no client's business."""

import dataclasses
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks import rig
from contracts.routing import EndpointSpec
from embedded.ports import free
from embedded.private import PrivateServices
from embedded.processes import Running, start
from tests.dataplane.gateway.site import Site, eventually
from tests.dataplane.gateway.test_lifecycle import Traffic

NOBODY = "http://127.0.0.1:9"
PORTS = ("TRITON_HTTP", "TRITON_GRPC", "TRITON_METRICS")


class Another:
    """A Triton beside the one of the package, with the rig's first model."""

    def __init__(self, parts: PrivateServices, place: Path) -> None:
        ports = free(PORTS)
        self._server = dataclasses.replace(
            parts.triton(),
            place=place,
            http_port=ports["TRITON_HTTP"],
            grpc_port=ports["TRITON_GRPC"],
            metrics_port=ports["TRITON_METRICS"],
        )
        self._environment = {
            **parts.environment(),
            "TRITON_URL": f"http://127.0.0.1:{ports['TRITON_HTTP']}",
            "TRITON_REPOSITORY": str(self._server.repository),
        }
        self._log = place.parent / f"{place.name}.log"
        self.address = f"127.0.0.1:{ports['TRITON_GRPC']}"
        self.running: Running | None = None

    def start(self) -> None:
        self._server.prepare()
        self.running = start(self._server.process(), log=self._log)
        self.running.wait_ready()
        rig.install_model(self._environment, 1, bias=1)

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running = None

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()

    def answered(self) -> int:
        """Calls that it has answered since it started."""
        stats = httpx.get(f"{self._environment['TRITON_URL']}/v2/models/rig-v1/stats").json()
        found: dict[str, Any] = stats["model_stats"][0]["inference_stats"]["success"]
        return int(found["count"])


@pytest.fixture
def more(parts: PrivateServices, tmp_path: Path) -> Iterator[list[Another]]:
    """Two more Tritons."""
    made = [Another(parts, tmp_path / f"triton-{number}") for number in (2, 3)]
    try:
        for each in made:
            each.start()
        yield made
    finally:
        for each in made:
            each.stop()


def over(site: Site, *addresses: str) -> EndpointSpec:
    return rig.endpoint([rig.variant(1, site.triton, addresses=(site.triton, *addresses))])


def serving(site: Site, address: str) -> bool:
    line = f'replica_serving{{entry="rig-v1",address="{address}"}} 1'
    return line in site.get("/metrics").body.decode()


def test_replica__not_there__costs_no_request_and_is_reported(site: Site) -> None:
    site.serve(over(site, NOBODY))
    assert {site.predict().status for _ in range(20)} == {200}
    assert serving(site, site.triton)
    assert not serving(site, NOBODY)
    eventually(lambda: (told := site.report()) and told.replicas_out == (NOBODY,))


def test_replicas__all_out__fail_fast_and_come_back_by_themselves(site: Site) -> None:
    site.serve(over(site), GATEWAY_PROBE_S="0.1")
    assert site.predict().status == 200
    with site.hanging_triton():
        eventually(lambda: not serving(site, site.triton), 15)
        assert site.predict().status == 503
    eventually(lambda: site.predict().status == 200)


@pytest.mark.proof
def test_replicas__one_of_three_killed_under_load__no_request_fails_and_it_gets_rows_again(
    site: Site, more: list[Another]
) -> None:
    lost = more[0]
    site.serve(over(site, *(each.address for each in more)))
    clients = [Traffic(site) for _ in range(4)]
    for client in clients:
        client.start()
    eventually(lambda: lost.answered() > 20, 20)
    lost.kill()
    seen = len(clients[0].statuses)
    eventually(lambda: len(clients[0].statuses) > seen + 100, 20)
    assert not serving(site, lost.address)
    lost.start()
    ready_at, warm_ups = time.monotonic(), lost.answered()
    eventually(lambda: lost.answered() > warm_ups + 20, 5)
    print(f"replica_returns_s={time.monotonic() - ready_at:.2f}")
    assert {status for client in clients for status in client.halt()} == {200}
    assert sum(client.cut_off for client in clients) == 0


@pytest.mark.proof
def test_replicas__one_of_three_hangs_under_load__is_out_after_its_probes(
    site: Site, more: list[Another]
) -> None:
    site.serve(over(site, *(each.address for each in more)))
    client = Traffic(site)
    client.start()
    eventually(lambda: more[1].answered() > 20, 20)
    assert more[1].running is not None
    more[1].running.child.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: not serving(site, more[1].address), 15)
        begun = len(client.statuses)
        eventually(lambda: len(client.statuses) > begun + 50, 20)
        assert set(client.statuses[begun:]) == {200}
    finally:
        more[1].running.child.send_signal(signal.SIGCONT)
        client.halt()
