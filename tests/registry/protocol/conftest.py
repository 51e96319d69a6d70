"""MLflow's own client, over HTTP, against our web process."""

import os
from collections.abc import Callable, Iterator

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections
from django.test.testcases import LiveServerThread

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from mlflow import MlflowClient

from apps.accounts.access import Role
from apps.accounts.models import User
from tests.accounts import factories as accounts
from tests.registry.factories import make_user

Clients = Callable[[User], MlflowClient]


class KeepsConnection(ThreadedWSGIServer):
    """The connection is the test's: no request closes it."""

    def _close_connections(self) -> None:
        pass


class Server(LiveServerThread):
    """Django's server in a thread."""

    server_class = KeepsConnection


@pytest.fixture
def web(db: None) -> Iterator[str]:
    """The address of a web server that works in the test's own transaction."""
    shared = connections["default"]
    shared.inc_thread_sharing()
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    server = Server("127.0.0.1", StaticFilesHandler, connections_override={"default": shared})
    server.daemon = True
    server.start()
    server.is_ready.wait()
    yield f"http://{server.host}:{server.port}"
    server.terminate()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
    shared.dec_thread_sharing()


@pytest.fixture
def client_of(web: str, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """MLflow's client as this person: the token goes by the environment, as users give it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def become(user: User) -> MlflowClient:
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", accounts.token(user)[1])
        return MlflowClient(tracking_uri=web, registry_uri=web)

    return become


@pytest.fixture
def ada(db: None) -> User:
    """A scientist."""
    return make_user("ada", Role.SCIENTIST)


@pytest.fixture
def client(client_of: Clients, ada: User) -> MlflowClient:
    """MLflow's client as a scientist of one team."""
    return client_of(ada)
