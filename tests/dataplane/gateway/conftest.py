"""A Valkey and a Triton with the rig's two models, of this package's own: tests stop them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from benchmarks import rig
from dataplane.gateway.listener import HttpServer
from embedded.private import PrivateServices
from tests.dataplane.gateway.site import Site
from tests.dataplane.gateway.wire import Open, make_server


@pytest.fixture(scope="package")
def parts() -> Iterator[PrivateServices]:
    """The services, started once."""
    services = PrivateServices()
    try:
        services.start_valkey()
        services.start_triton()
        for number in (1, 2):
            rig.install_model(services.environment(), number, bias=number)
        yield services
    finally:
        services.stop()


@pytest.fixture
def site(parts: PrivateServices, tmp_path: Path) -> Iterator[Site]:
    """A gateway that is not started yet; Redis is empty but for the clients."""
    publisher = rig.Publisher.of(parts.environment())
    publisher.client.flushall()
    publisher.publish_clients()
    site = Site(parts, tmp_path / "gateway", publisher)
    yield site
    site.stop()
    site.redis.close()
    publisher.client.close()


@pytest.fixture(scope="module")
def served(parts: PrivateServices, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One running gateway for a whole module: it has to outlive whatever the module asks.

    Its second client, with the key "k2", may ask only an endpoint that does not exist.
    """
    publisher = rig.Publisher.of(parts.environment())
    publisher.client.flushall()
    publisher.publish_clients(rig.client(), rig.client("other", "k2", endpoints=("elsewhere",)))
    site = Site(parts, tmp_path_factory.mktemp("served") / "gateway", publisher)
    site.serve()
    yield site
    site.stop()
    site.redis.close()
    publisher.client.close()


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    """The HTTP layer by itself."""
    server = make_server()
    await server.start("127.0.0.1", 0)
    yield server
    await server.drain(1.0)


@pytest.fixture
async def connect(server: HttpServer) -> AsyncIterator[Open]:
    """Opens connections to it, closed at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writers.append(writer)
        return reader, writer

    yield opened
    for writer in writers:
        writer.close()
