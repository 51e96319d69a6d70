"""Gateway, recorder and ingest as processes of their own, on the tests' database."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import redis
from django.db import connection

from benchmarks import rig
from contracts.records import STREAM_PREFIX
from contracts.routing import REPORT_KEY, EndpointSpec, GatewayReport, Limits
from embedded.places import CHECKOUT
from embedded.private import PrivateServices
from embedded.probes import http_probe
from embedded.processes import Process, Running, start

GATEWAY = "gateway-1"
PATIENT = Limits(deadline_ms=10_000)  # the tests' machine may be very busy
QUICK = {
    "RECORDER_RESHIP_S": "1",
    "GATEWAY_POLL_S": "0.5",
    "INGEST_STALE_S": "1",
}


@dataclass
class World:
    """One gateway's machine, its Valkey, and an ingest worker; Postgres and Triton are shared.

    Whatever is started here must be started by the main thread: it dies with the one that did.
    """

    services: PrivateServices
    state: Path
    triton: str
    logs: Path
    valkey: Running | None = None
    own_triton: Running | None = None
    running: dict[str, Running] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        own = {"GATEWAY_STATE": str(self.state), "GATEWAY_GRPC_URL": "", **QUICK}
        self.environment = {**self.services.environment(), **own}
        self.port = self.services.ports["GATEWAY_HTTP"]
        self.redis = redis.Redis.from_url(self.environment["REDIS_URL"])

    # Processes

    def start(self, *names: str) -> None:
        """Start these of gateway, recorder and ingest side by side, and wait for all."""
        for name in names:
            self.started += 1
            log = self.logs / f"{name}-{self.started}.log"
            self.running[name] = start(getattr(self, f"_{name}")(), log=log)
        for name in names:
            self.running[name].wait_ready()

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.running.pop(name).kill()

    def end(self, name: str) -> None:
        """SIGTERM, and wait until it has ended by itself."""
        self.running.pop(name).stop()

    def stop(self) -> None:
        """Stop everything; what was killed stays dead."""
        while self.running:
            self.running.popitem()[1].stop()
        self.redis.close()
        self.services.stop()

    def start_valkey(self) -> None:
        self.valkey = self.services.start_valkey()

    def kill_valkey(self, *, wipe: bool = False) -> None:
        """SIGKILL; with `wipe` its data are gone, too."""
        assert self.valkey is not None
        self.valkey.kill()
        if wipe:
            shutil.rmtree(self.services.valkey().place / "appendonlydir")

    def start_triton(self) -> None:
        """One of its own, with the rig's model loaded."""
        self.own_triton = self.services.start_triton()
        environment = self.services.environment()
        rig.install_model(environment, 1, bias=1.0)
        self.triton = environment["TRITON_URL"]

    def kill_triton(self) -> None:
        """SIGKILL."""
        assert self.own_triton is not None
        self.own_triton.kill()

    def _gateway(self) -> Process:
        return rig.gateway_process(self.environment, self.port)

    def _recorder(self) -> Process:
        return rig.recorder_process(self.environment)

    def _ingest(self) -> Process:
        port = self.services.ports["INGEST_METRICS"]
        database = self.services.app_url(str(connection.settings_dict["NAME"]))
        own = {**self.environment, "DATABASE_URL": database, "PYTHONPATH": str(CHECKOUT)}
        own.pop("DATABASE_OWNER_URL")
        return Process(
            name="ingest",
            command=(sys.executable, str(CHECKOUT / "manage.py"), "ingest"),
            env={"PATH": os.environ["PATH"], **own},
            cwd=CHECKOUT,
            probe=http_probe(port=port, path="/metrics"),
            stop_seconds=20,
        )

    # Routing, without a control plane

    def publisher(self) -> rig.Publisher:
        return rig.Publisher.of(self.environment)

    def split(self, **changes: Any) -> EndpointSpec:
        """Version 1 stable, version 2 at 30 % as the canary of a rollout."""
        variants = [
            rig.variant(1, self.triton),
            rig.variant(2, self.triton, key="canary", role="canary"),
        ]
        weights = {"stable": 7_000, "canary": 3_000}
        options: dict[str, Any] = {"rollout": "rollout:1", "limits": PATIENT, "sample_rate": 0.05}
        return rig.endpoint(variants, weights, **options | changes)

    def serve(self, spec: EndpointSpec) -> None:
        """Everything up, and the endpoint served."""
        self.start_valkey()
        publisher = self.publisher()
        publisher.publish_clients()
        publisher.publish(spec)
        publisher.client.close()
        self.start("gateway", "recorder", "ingest")
        self.wait_for(1)

    def report(self) -> GatewayReport | None:
        """What the gateway says that it runs."""
        data = self.redis.get(REPORT_KEY + GATEWAY)
        return msgspec.json.decode(data, type=GatewayReport) if isinstance(data, bytes) else None

    def wait_for(self, generation: int) -> None:
        """Until the gateway serves it."""
        eventually(lambda: (told := self.report()) and told.generation == generation)

    # Facts

    def settle(self) -> None:
        """Until every fact is committed and the gateway's disk and the stream are empty."""
        eventually(self._is_settled, seconds=45)
        assert self.redis.xlen(STREAM_PREFIX + GATEWAY) == 0

    def _is_settled(self) -> bool:
        spool = self.state / "spool"
        # In this order: an open segment becomes a sealed one, never the other way round.
        return not [*spool.glob("*/*.open")] and not [*spool.glob("*/*.seg")]


def eventually(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait for a condition. Raises AssertionError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.03)
