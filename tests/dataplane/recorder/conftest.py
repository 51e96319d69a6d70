"""A Valkey of this package's own."""

from collections.abc import Iterator

import pytest
import redis

from embedded.private import PrivateServices


@pytest.fixture(scope="package")
def valkey_url() -> Iterator[str]:
    services = PrivateServices()
    services.start_valkey()
    yield services.environment()["REDIS_URL"]
    services.stop()


@pytest.fixture
def valkey(valkey_url: str) -> Iterator["redis.Redis"]:
    client = redis.Redis.from_url(valkey_url)
    client.flushall()
    yield client
    client.close()
