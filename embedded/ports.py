"""Ports: their settings, their defaults, and who holds one that is taken.

The defaults lie in 17000-17099, away from the standard ports of Postgres, Redis, MLflow and
Triton, so that the platform starts beside whatever a machine already runs.
"""

import os
import random
import socket
from collections.abc import Iterable, Mapping

import psutil

from embedded.errors import EmbeddedError, PortTaken

DEFAULTS: Mapping[str, int] = {
    "WEB": 17000,
    "GATEWAY_HTTP": 17001,
    "GATEWAY_GRPC": 17002,
    "MLFLOW": 17003,
    "INGEST_METRICS": 17004,
    "TRITON_HTTP": 17010,
    "TRITON_GRPC": 17011,
    "TRITON_METRICS": 17012,
    "PULLER": 17013,
    "S3": 17020,
    "S3_GRPC": 17021,
    "S3_MASTER": 17022,
    "S3_MASTER_GRPC": 17023,
    "S3_VOLUME": 17024,
    "S3_VOLUME_GRPC": 17025,
    "S3_FILER": 17026,
    "S3_FILER_GRPC": 17027,
    "S3_ADMIN": 17028,
    "POSTGRES": 17032,
    "VALKEY": 17079,
}
PREFIX = "SWITCHYARD_PORT_"
# Below the range that the kernel gives to outgoing connections (32768 and up on Linux).
FREE_RANGE = range(18000, 32000)


def from_environment(environ: Mapping[str, str] = os.environ) -> dict[str, int]:
    """The port of each setting: from the environment, else the default."""
    return {name: _number(environ, name, default) for name, default in DEFAULTS.items()}


def free(names: Iterable[str] = DEFAULTS) -> dict[str, int]:
    """A free port for each name, all different."""
    chosen: dict[str, int] = {}
    for name in names:
        chosen[name] = _one_free(exclude=chosen.values())
    return chosen


def require_free(ports: Mapping[str, int]) -> None:
    """Raises PortTaken naming the process that holds a port and the setting to change."""
    complaints = [_complaint(name, port) for name, port in ports.items() if not is_free(port)]
    if complaints:
        raise PortTaken("\n".join(complaints))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def holder(port: int) -> str:
    """Who listens on a port, as far as the system tells us."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "a process that this account may not see"
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and connection.laddr and connection.laddr[1] == port and connection.pid:
            return _describe(connection.pid)
    return "a process of another account"


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}, {process.username()})"
    except psutil.Error:
        return f"pid {pid}"


def _complaint(name: str, port: int) -> str:
    return f"port {port} is held by {holder(port)}: stop it, or set {PREFIX}{name} to another port"


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(PREFIX + name, str(default))
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise EmbeddedError(f"{PREFIX}{name} must be a port number, not {text!r}")
    return int(text)


def _one_free(*, exclude: Iterable[int]) -> int:
    taken = set(exclude)
    while True:
        port = random.choice(FREE_RANGE)  # noqa: S311 - any free port will do
        # The store also binds the port 10000 above its admin's.
        if port not in taken and is_free(port) and is_free(port + 10_000):
            return port
