"""`endpoints.json`: where everything is, for people and scripts, with a token per role."""

import json
from pathlib import Path

from embedded.database import ACCOUNTS
from embedded.files import write_private
from embedded.installation import Installation
from embedded.processes import Process

FILE = "endpoints.json"
# The settings behind each address; Triton, S3 and the others may live elsewhere.
ADDRESSES = {
    "web": "WEB_URL",
    "gateway_http": "GATEWAY_URL",
    "gateway_grpc": "GATEWAY_GRPC_URL",
    "mlflow": "MLFLOW_TRACKING_URI",
    "triton_http": "TRITON_URL",
    "triton_grpc": "TRITON_GRPC_URL",
    "s3": "S3_ENDPOINT_URL",
    "postgres": "DATABASE_URL",
    "redis": "REDIS_URL",
}
_SHOWN = ("WEB", "MLFLOW", "TRITON_HTTP", "GATEWAY_HTTP", "S3", "PULLER")


def document(installation: Installation) -> dict[str, object]:
    """The addresses, plus `tokens` by role and `users` with their demonstration sign-ins."""
    found: dict[str, object] = {
        name: installation.values[setting] for name, setting in ADDRESSES.items()
    }
    return {**found, **_accounts(installation.home)}


def write(installation: Installation) -> None:
    """Write the file (0600), replacing an older one at once."""
    write_private(installation.home / FILE, json.dumps(document(installation), indent=2))


def line(process: Process) -> str:
    """Where a process can be reached, for a person's eyes."""
    shown = [name for name in process.ports if name in _SHOWN]
    if shown:
        return f"http://127.0.0.1:{process.ports[shown[0]]}"
    first = next(iter(process.ports.values()), None)
    return f"127.0.0.1:{first}" if first else ""


def _accounts(home: Path) -> dict[str, object]:
    try:
        accounts: dict[str, object] = json.loads((home / ACCOUNTS).read_text())
    except FileNotFoundError:
        return {"tokens": {}, "users": {}}
    return accounts
