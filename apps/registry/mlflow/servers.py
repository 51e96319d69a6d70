"""Which MLflow an artifact is taken over from: the configured one, or one that a floor above knows.

Orders name a server as "<kind>:<id>"; the kind's owner says how to connect. Empty is the tracking
server of the settings.
"""

from collections.abc import Callable

from django.conf import settings

from apps.registry.errors import SourceNotFound
from apps.registry.mlflow.client import MlflowClient

Connect = Callable[[str], MlflowClient]
_known: dict[str, Connect] = {}


def register(kind: str, connect: Connect) -> None:
    """Make servers of a kind known; kinds are unique."""
    _known[kind] = connect


def connect(server: str = "") -> MlflowClient:
    """A client of that server. Raises SourceNotFound for one that nobody knows any more."""
    if not server:
        return MlflowClient(settings.CONFIG.mlflow_tracking_uri)
    kind = server.partition(":")[0]
    if kind not in _known:
        raise SourceNotFound(f"there is no server {server!r}", field="source")
    return _known[kind](server)
