"""A world for each test. Postgres is the tests' own; Triton holds the rig's two models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from benchmarks import rig
from embedded import ports
from embedded.private import PrivateServices
from tests.chaos.world import World

OWN_PORTS = ("GATEWAY_HTTP", "INGEST_METRICS")


@pytest.fixture(scope="session")
def models(services: PrivateServices, triton: str) -> str:
    """Triton's gRPC address, with versions 1 and 2 of the rig's model loaded."""
    environment = services.environment()
    for number in (1, 2):
        rig.install_model(environment, number, bias=float(number))
    return environment["TRITON_URL"]


@pytest.fixture
def world(
    services: PrivateServices, transactional_db: None, models: str, tmp_path: Path
) -> Iterator[World]:
    """With a Valkey of its own, which may be killed."""
    yield from _world(services, models, tmp_path, *OWN_PORTS, "VALKEY")


@pytest.fixture
def world_with_triton(
    services: PrivateServices, transactional_db: None, tmp_path: Path
) -> Iterator[World]:
    """With a Triton of its own, too."""
    own = ("VALKEY", "TRITON_HTTP", "TRITON_GRPC", "TRITON_METRICS")
    for world in _world(services, "", tmp_path, *OWN_PORTS, *own):
        world.start_triton()
        yield world


@pytest.fixture
def governed_world(
    services: PrivateServices,
    redis_client: "redis.Redis",
    transactional_db: None,
    models: str,
    tmp_path: Path,
) -> Iterator[World]:
    """On the Valkey that this process, as the control plane, publishes to."""
    yield from _world(services, models, tmp_path, *OWN_PORTS)


def _world(shared: PrivateServices, models: str, place: Path, *own_ports: str) -> Iterator[World]:
    numbers = {**shared.ports, **ports.free(own_ports)}
    own = PrivateServices(ports=numbers, secrets=shared.secrets)
    world = World(services=own, state=place / "gateway", triton=models, logs=place / "logs")
    try:
        yield world
    finally:
        world.stop()
