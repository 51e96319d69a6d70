"""A gateway in front of a Triton that restarts while the object store is away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks import rig
from contracts.policy import DefaultPrediction, Fallback, Policy
from contracts.routing import Limits
from embedded.processes import Running, start
from tests.dataplane.triton.conftest import Site, wait_until
from tests.dataplane.triton.models import SCHEMA

ROW = {"a": -2.5, "b": 2.0, "row": 2, "carrier": "AA"}
DEFAULT = DefaultPrediction(prediction=0.0, label="on_time")


@pytest.fixture
def gateway(site: Site, tmp_path: Path) -> Iterator[Running]:
    """It serves the entry "kept-v1", with a default behind it."""
    valkey = site.services.start_valkey()
    environment = {**site.services.environment(), "GATEWAY_STATE": str(tmp_path / "gateway")}
    publisher = rig.Publisher.of(environment)
    publisher.publish_clients()
    variant = rig.variant(1, environment["TRITON_GRPC_URL"], entry="kept-v1", schema=SCHEMA)
    policy = Policy(fallback=Fallback(default=DEFAULT))
    publisher.publish(rig.endpoint([variant], policy=policy, limits=Limits(deadline_ms=5_000)))
    publisher.client.close()
    process = rig.gateway_process(environment, site.services.ports["GATEWAY_HTTP"])
    running = start(process, log=tmp_path / "gateway.log")
    running.wait_ready()
    yield running
    running.stop()
    valkey.stop()


def ask(site: Site) -> Any:
    """Which fallback answered, None for the model. Raises where nothing answers."""
    reply = httpx.post(
        f"http://127.0.0.1:{site.services.ports['GATEWAY_HTTP']}/v1/predict",
        json={"model": "rig", "features": ROW, "user_id": "u1"},
        headers={"Authorization": f"Bearer {rig.CLIENT_KEY}"},
    )
    return reply.raise_for_status().json()["fallback"]


@pytest.mark.proof
def test_gateway__triton_restarts_with_the_store_away__serves_again_from_its_disk(
    site: Site, gateway: Running
) -> None:
    site.put("kept-v1", site.upload("kept-v1"))
    site.wait_for("kept-v1", "ready")
    assert wait_until(lambda: ask(site), lambda fallback: fallback is None) is None
    site.stop_s3()
    site.triton.kill()
    assert ask(site) == "default"
    site.triton = site.services.start_triton()
    assert wait_until(lambda: ask(site), lambda fallback: fallback is None) is None
    assert site.state("kept-v1")["state"] in ("loading", "ready")
    site.start_s3()
