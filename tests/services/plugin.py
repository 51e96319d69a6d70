"""Starts what every test may count on: a private Postgres and Valkey, and the environment.

This happens while the first conftest is imported, before Django reads its settings. The run's
controller starts Postgres; each xdist worker has a Valkey of its own, as channels and streams
know no namespaces. S3, Triton and MLflow start when a test first asks for them.

SWITCHYARD_TEST_DJANGO=0 leaves Django and the services out, for pure tests only.
"""

import atexit
import importlib.util
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import django
import pytest

from embedded import places, ports
from embedded.private import PrivateServices, sweep
from tests.services.flush import let_tests_empty_guarded_tables

HANDED_DOWN = "SWITCHYARD_TEST_SERVICES"
LOOPBACK = ("127.", "::1", "localhost")


def begin() -> PrivateServices:
    """Start the services of this process and set the environment."""
    services = _inherited() if HANDED_DOWN in os.environ else _first()
    atexit.register(services.stop)
    services.start_valkey()
    (services.home / "static").mkdir(exist_ok=True)  # whitenoise warns where there is none
    os.environ.update(services.environment())
    return services


def set_up_django() -> None:
    """Load the settings, if there are any, so that any test module may import models."""
    if importlib.util.find_spec("controlplane.settings") is None:
        return
    os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings"
    django.setup()
    let_tests_empty_guarded_tables()


def _first() -> PrivateServices:
    sweep()
    services = PrivateServices()
    services.start_postgres()
    os.environ[HANDED_DOWN] = json.dumps(
        {
            "port": services.ports["POSTGRES"],
            "secrets": dict(services.secrets),
        }
    )
    return services


def _inherited() -> PrivateServices:
    """A worker's own ports and directory, with the controller's Postgres."""
    handed_down = json.loads(os.environ[HANDED_DOWN])
    own_ports = {**ports.free(), "POSTGRES": handed_down["port"]}
    return PrivateServices(ports=own_ports, secrets=handed_down["secrets"])


def _block_far_sockets() -> None:
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(self: socket.socket, address: Any) -> None:
        _require_loopback(self, address)
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        _require_loopback(self, address)
        return connect_ex(self, address)

    patch = pytest.MonkeyPatch()  # for the whole run
    patch.setattr(socket.socket, "connect", guarded)
    patch.setattr(socket.socket, "connect_ex", guarded_ex)


def _require_loopback(sock: socket.socket, address: Any) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        host = str(address[0])
        if not host.startswith(LOOPBACK):
            raise PermissionError(f"tests may connect to loopback only, not to {host}")


_block_far_sockets()
if os.environ.get("SWITCHYARD_TEST_DJANGO") == "0":
    _services = PrivateServices()
    atexit.register(_services.stop)
else:
    _services = begin()
    set_up_django()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each worker choose its addresses before pytest-django reads the settings."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.fixture(scope="session")
def services() -> PrivateServices:
    """The private services of this run: addresses, secrets, and starting what is not there."""
    return _services


@pytest.fixture(scope="session")
def s3(services: PrivateServices) -> Iterator[str]:
    """The address of a running S3 store; its bucket and keys are in the environment."""
    running = services.start_s3()
    yield services.s3().url
    running.stop()


@pytest.fixture(scope="session")
def triton(services: PrivateServices) -> Iterator[str]:
    """The HTTP address of a running Triton with an empty repository (TRITON_REPOSITORY)."""
    running = services.start_triton()
    yield os.environ["TRITON_URL"]
    running.stop()


@pytest.fixture(scope="session")
def mlflow_server(services: PrivateServices, s3: str) -> Iterator[str]:
    """The address of a running MLflow server that keeps its artifacts in the S3 store."""
    if not places.environment("mlflow").exists():
        pytest.fail("the MLflow environment is not installed: run `make install`")
    running = services.start_mlflow()
    yield services.mlflow().url
    running.stop()
