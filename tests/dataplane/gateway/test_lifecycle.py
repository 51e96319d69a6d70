"""What a gateway leaves behind when it ends, well or badly: every answered request is counted."""

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import rig
from dataplane.recorder.ship import Shipper
from embedded.private import PrivateServices
from embedded.processes import start
from tests.dataplane.gateway.site import NAME, Site, eventually


class Traffic(threading.Thread):
    """One client that asks until it is told to stop, and remembers what it was answered."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._halt = threading.Event()
        self.statuses: list[int] = []
        self.cut_off = 0

    def run(self) -> None:
        while not self._halt.is_set():
            try:
                self.statuses.append(self._site.predict(f"u{len(self.statuses)}").status)
            except OSError:
                self.cut_off += 1
                time.sleep(0.05)

    def halt(self) -> list[int]:
        self._halt.set()
        self.join(10)
        return self.statuses


def test_sigkill__mid_traffic__every_answered_request_is_in_the_shipped_batches(site: Site) -> None:
    site.serve(site.endpoint(sample_rate=1.0))
    clients = [Traffic(site) for _ in range(4)]
    for client in clients:
        client.start()
    eventually(lambda: all(len(client.statuses) > 30 for client in clients), 20)
    site.kill()
    answered = sum(status == 200 for client in clients for status in client.halt())
    counted = site.requests_counted()
    assert answered <= counted <= answered + len(clients)
    records = [record for batch in site.batches() for record in batch.records]
    assert len(records) == counted


def test_sigterm__mid_traffic__answers_what_was_asked_and_seals_everything(site: Site) -> None:
    site.serve()
    client = Traffic(site)
    client.start()
    eventually(lambda: len(client.statuses) > 30, 20)
    site.stop()
    assert set(client.halt()) == {200}
    assert "gateway.stopped" in site.log()
    assert not list((site.state / "spool").glob("*/*.open"))
    assert site.requests_counted() == len(client.statuses)


def test_restart__after_a_crash__ships_both_boots_under_their_own_ids(site: Site) -> None:
    site.serve()
    site.predict()
    site.kill()
    site.start()
    eventually(lambda: site.predict().status == 200)
    eventually(lambda: len({batch.boot for batch in site.batches()}) == 2)


def test_redis__killed_during_traffic_and_back__counts_equal_what_the_client_saw(
    tmp_path: Path, parts: PrivateServices
) -> None:
    own = PrivateServices(ports={**parts.ports, "VALKEY": PrivateServices().ports["VALKEY"]})
    valkey = own.start_valkey()
    try:
        publisher = rig.Publisher.of(own.environment())
        publisher.publish_clients()
        site = Site(own, tmp_path / "gateway", publisher)
        site.environment["TRITON_GRPC_URL"] = parts.environment()["TRITON_GRPC_URL"]
        site.serve()
        client = Traffic(site)
        client.start()
        eventually(lambda: len(client.statuses) > 20, 20)
        site.ship()
        valkey.kill()
        seen = len(client.statuses)
        eventually(lambda: len(client.statuses) > seen + 50, 20)
        own.start_valkey()
        seen = len(client.statuses)
        eventually(lambda: len(client.statuses) > seen + 20, 20)
        assert set(client.halt()) == {200}
        eventually(lambda: site.report() is not None)
        eventually(lambda: site.requests_counted() == len(client.statuses))
        site.stop()
    finally:
        own.stop()


def test_spool__over_its_cap__goes_on_answering_and_counts_the_loss(site: Site) -> None:
    site.serve(GATEWAY_SPOOL_BYTES="1000", GATEWAY_POLL_S="0.2")
    for _ in range(40):
        assert site.predict().status == 200
    eventually(lambda: (report := site.report()) and report.spool_bytes > 1000)
    answered = [site.predict().status for _ in range(10)]
    assert answered == [200] * 10
    eventually(lambda: (report := site.report()) and report.dropped >= 10)
    site.acknowledge(site.batches())
    Shipper(site.state / "spool", NAME, site.redis).turn()
    eventually(lambda: (report := site.report()) and report.spool_bytes < 1000)
    site.predict()
    eventually(lambda: sum(batch.dropped for batch in site.batches()) >= 10)


def test_port__taken__ends_with_a_clear_error(site: Site) -> None:
    site.start()
    first = site.running
    assert first is not None
    second = Site(site.services, site.state, site.publisher)
    process = rig.gateway_process(second.environment, second.port)
    running = start(process, log=site.state.parent / "second.log")
    assert running.child.wait(15) == 1
    assert "address already in use" in (site.state.parent / "second.log").read_text()
    os.kill(first.pid, signal.SIGTERM)


def test_spool__disk_full__predictions_go_on_and_what_is_lost_is_counted(site: Site) -> None:
    site.serve()
    site.predict()
    with no_room_on_disk(site):
        eventually(lambda: site.predict().status == 200 and dropped(site) > 3)
    lost = dropped(site)
    assert site.predict().status == 200
    eventually(lambda: sum(batch.dropped for batch in site.batches()) == lost)
    assert site.requests_counted() >= 2


@contextmanager
def no_room_on_disk(site: Site) -> Iterator[None]:
    """Whatever the gateway writes to a file fails, as on a full disk."""
    assert site.running is not None
    before = resource.prlimit(site.running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(site.running.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(site.running.pid, resource.RLIMIT_FSIZE, before)


def dropped(site: Site) -> int:
    lines = site.get("/metrics").body.decode().splitlines()
    found = next(
        line for line in lines if line.startswith("switchyard_gateway_facts_dropped_total ")
    )
    return int(found.rpartition(" ")[2])
