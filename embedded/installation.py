"""One installation: its directory, ports, secrets, and which parts live elsewhere."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded import credentials, environment, ports
from embedded.errors import EmbeddedError
from embedded.files import write_private
from embedded.parts import Parts

MEMORY = "installation.json"

# Setting one of these to an address leaves the part out of what we start.
EXTERNAL: Mapping[str, str] = {
    "postgres": "DATABASE_URL",
    "valkey": "REDIS_URL",
    "s3": "S3_ENDPOINT_URL",
    "mlflow": "MLFLOW_TRACKING_URI",
    "triton": "TRITON_URL",
}
# What else must, or may, be said about such a part; the value is taken when nothing is said.
COMPANIONS: Mapping[str, Mapping[str, str | None]] = {
    "postgres": {"DATABASE_OWNER_URL": "DATABASE_URL"},
    "valkey": {"CELERY_BROKER_URL": "REDIS_URL"},
    "s3": {
        "S3_ACCESS_KEY_ID": None,
        "S3_SECRET_ACCESS_KEY": None,
        "S3_REGION": "",
        "S3_BUCKET": "",
    },
    "mlflow": {},
    "triton": {
        "TRITON_GRPC_URL": None,
        "TRITON_METRICS_URL": "",
        "TRITON_REPOSITORY": "",
        "TRITON_CONTROL_KEY": "",
        "PULLER_URL": None,
        "PULLER_TOKEN": None,
    },
}


@dataclass(frozen=True, kw_only=True)
class Installation:
    """`values` is the environment of the processes; `external` the parts that live elsewhere."""

    home: Path
    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    external: frozenset[str]
    values: Mapping[str, str]

    @property
    def parts(self) -> Parts:
        keys = ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
        return Parts(
            home=self.home,
            ports=self.ports,
            secrets={**self.secrets, **{key: self.values[key] for key in keys}},
            store_url=self.values["S3_ENDPOINT_URL"],
            bucket=self.values["S3_BUCKET"],
            mlflow_database=self._mlflow_database(),
        )

    def _mlflow_database(self) -> str:
        """Empty for our own Postgres; a file when Postgres is elsewhere and nothing is said."""
        if "postgres" not in self.external:
            return ""
        file = self.home / "mlflow" / "mlflow.db"
        return os.environ.get("MLFLOW_BACKEND_STORE_URI") or f"sqlite:///{file}"

    @property
    def run(self) -> Path:
        """Sockets, pid files and the orders of the processes."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"


def open_installation(
    home: Path, *, chosen_ports: Mapping[str, int], environ: Mapping[str, str] = os.environ
) -> Installation:
    """Make or open the installation in `home`; raises EmbeddedError for incomplete settings."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets = credentials.load_or_create(home)
    name = environ.get("SWITCHYARD_ENV", "demo")
    values = environment.settings(home=home, name=name, ports=chosen_ports, secrets=secrets)
    external = frozenset(part for part, setting in EXTERNAL.items() if environ.get(setting))
    for part in external:
        values.update(_elsewhere(part, environ, values))
    return Installation(
        home=home, ports=chosen_ports, secrets=secrets, external=external, values=values
    )


def remembered(home: Path) -> Installation | None:
    """The installation as it was last started, whatever the environment says now."""
    try:
        found = json.loads((home / "run" / MEMORY).read_text())
    except FileNotFoundError:
        return None
    known_ports = {**ports.DEFAULTS, **found["ports"]}
    return open_installation(home, chosen_ports=known_ports, environ=found["environ"])


def remember(installation: Installation) -> None:
    """Keep what a later `status` or `down` must know (0600: addresses may carry passwords)."""
    installation.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts = installation.external
    names = {EXTERNAL[part] for part in parts} | {n for part in parts for n in COMPANIONS[part]}
    environ = {name: installation.values[name] for name in (*names, "SWITCHYARD_ENV")}
    text = json.dumps({"ports": dict(installation.ports), "environ": environ})
    write_private(installation.run / MEMORY, text)


def _elsewhere(part: str, environ: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    setting = EXTERNAL[part]
    found = {setting: environ[setting]}
    for name, fallback in COMPANIONS[part].items():
        if name in environ:
            found[name] = environ[name]
        elif fallback is None:
            raise EmbeddedError(f"{setting} is set, so {name} must be set too")
        else:
            found[name] = found[fallback] if fallback else values[name]
    return found
