"""Fixtures for every test: private services first, then Django, then the rest."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from django.db import connection
from pytest_django import Settings

from embedded.private import PrivateServices

pytest_plugins = ["tests.services.plugin"]
Configure = Callable[..., None]


@pytest.fixture
def redis_client(services: PrivateServices) -> Iterator["redis.Redis"]:
    """A client of the private Valkey (bytes in, bytes out), emptied before the test."""
    client = redis.Redis.from_url(services.valkey().url())
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def app_role(
    services: PrivateServices, transactional_db: None
) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A connection of the runtime role, which owns nothing, to the test database."""
    name = str(connection.settings_dict["NAME"])
    with psycopg.connect(services.app_url(name), autocommit=True) as opened:
        yield opened


@pytest.fixture
def configure(settings: Settings) -> Configure:
    """Changes fields of the typed configuration for one test."""

    def change(**fields: object) -> None:
        settings.CONFIG = settings.CONFIG.model_copy(update=fields)

    return change


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty state directory of a gateway."""
    place = tmp_path / "gateway"
    place.mkdir()
    return place
