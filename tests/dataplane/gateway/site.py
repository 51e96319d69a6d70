"""A gateway under test: its process, its state on disk, what clients see and what it shipped."""

import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import redis

from benchmarks import rig
from contracts.records import ACKED_KEY, ENVELOPE_FIELD, STREAM_PREFIX, Batch, decode_batch
from contracts.routing import REPORT_KEY, EndpointSpec, GatewayReport
from dataplane.recorder.ship import Shipper
from embedded.private import PrivateServices
from embedded.processes import Running, start

NAME = "gateway-1"


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def paths(self) -> list[str]:
        """Where a problem says that the faults are."""
        return [error["path"] for error in self.json().get("errors", [])]


@dataclass
class Site:
    """One gateway on its own state directory, with the services of the package."""

    services: PrivateServices
    state: Path
    publisher: rig.Publisher
    environment: dict[str, str] = field(default_factory=dict)
    running: Running | None = None

    def __post_init__(self) -> None:
        self.environment = {**self.services.environment(), "GATEWAY_STATE": str(self.state)}
        self.port = self.services.ports["GATEWAY_HTTP"]
        self.triton = self.environment["TRITON_URL"]
        self.redis = redis.Redis.from_url(self.environment["REDIS_URL"])

    def start(self, **settings: str) -> None:
        """Start the gateway; `settings` are further environment variables."""
        process = rig.gateway_process({**self.environment, **settings}, self.port)
        self.running = start(process, log=self.state.parent / "gateway.log")
        self.running.wait_ready()

    def serve(self, *specs: EndpointSpec, **settings: str) -> None:
        """Start with these endpoints published, and wait until they are served."""
        generation = self.publisher.publish(*specs or (self.endpoint(),))
        self.start(**settings)
        self.wait_for(generation)

    def publish(self, *specs: EndpointSpec) -> None:
        """Publish another table and wait until it is served."""
        self.wait_for(self.publisher.publish(*specs))

    def wait_for(self, generation: int) -> None:
        eventually(lambda: (report := self.report()) and report.generation == generation)

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running = None

    @contextmanager
    def hanging_triton(self) -> Iterator[None]:
        """Triton is there, and does nothing."""
        triton = next(each for each in self.services.running if each.process.name == "triton")
        os.kill(triton.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(triton.pid, signal.SIGCONT)

    def log(self) -> str:
        return (self.state.parent / "gateway.log").read_text()

    # Routing

    def endpoint(self, **changes: Any) -> EndpointSpec:
        """One version, everything to it."""
        return rig.endpoint([rig.variant(1, self.triton)], **changes)

    def canary(self, weight: int = 5_000, **changes: Any) -> EndpointSpec:
        """Version 1 stable, version 2 as the canary of rollout "r1"."""
        variants = [
            rig.variant(1, self.triton),
            rig.variant(2, self.triton, key="canary", role="canary"),
        ]
        weights = {"stable": 10_000 - weight, "canary": weight}
        return rig.endpoint(variants, weights, **{"rollout": "r1", **changes})

    # What clients do

    def post(self, path: str, body: Any, *, key: str = rig.CLIENT_KEY, **headers: str) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}", **headers} if key else headers
        return self.request("POST", path, data, headers)

    def get(self, path: str) -> Reply:
        return self.request("GET", path, b"", {})

    def request(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def predict(self, user: str | None = "u1", **changes: Any) -> Reply:
        """A prediction for the example's features with `changes`."""
        version = changes.pop("version", None)
        body: dict[str, Any] = {"model": "rig", "features": rig.example(**changes)}
        body |= {"user_id": user} if user is not None else {}
        body |= {"version": version} if version is not None else {}
        return self.post("/v1/predict", body)

    # What the gateway says and ships

    def report(self) -> GatewayReport | None:
        data = self.redis.get(REPORT_KEY + NAME)
        return msgspec.json.decode(data, type=GatewayReport) if data else None

    def ship(self) -> None:
        """Do the recorder's work once."""
        Shipper(self.state / "spool", NAME, self.redis, window=10_000).turn()

    def batches(self) -> list[Batch]:
        """The facts so far, each batch once, as ingest would count them."""
        self.ship()
        entries: Any = self.redis.xrange(STREAM_PREFIX + NAME)
        found = [decode_batch(fields[ENVELOPE_FIELD.encode()]) for _, fields in entries]
        return list({batch.key: batch for batch in found}.values())

    def acknowledge(self, batches: list[Batch]) -> None:
        """What ingest does after its commit."""
        for batch in batches:
            self.redis.hset(ACKED_KEY, f"{NAME}:{batch.boot}", batch.seq)

    def requests_counted(self) -> int:
        return sum(counter.requests for batch in self.batches() for counter in batch.counters)


def eventually(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for a condition. AssertionError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
