"""Services for one run on free ports, as children of this process: for tests and development."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from embedded import credentials, environment, places, ports
from embedded.parts import Parts
from embedded.processes import Process, Running, start
from embedded.services.postgres import APP, OWNER

PREFIX = "switchyard-private-"
PID_FILE = "pid"


def new_home() -> Path:
    """A directory that `sweep` deletes once this process is gone."""
    home = Path(tempfile.mkdtemp(prefix=PREFIX))
    (home / PID_FILE).write_text(str(os.getpid()))
    return home


@dataclass(kw_only=True)
class PrivateServices(Parts):
    """Ports and secrets are fixed at once; processes start when they are asked for.

    All of it ends with this process, and `stop` leaves nothing behind.
    """

    home: Path = field(default_factory=new_home)
    ports: Mapping[str, int] = field(default_factory=ports.free)
    secrets: Mapping[str, str] = field(default_factory=credentials.fresh)
    durable: bool = False
    owner_creates_databases: bool = True
    running: list[Running] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What the processes read. Its DATABASE_URL is the owner's: tests make databases."""
        values = environment.settings(
            home=self.home, name="test", ports=self.ports, secrets=self.secrets
        )
        app, owner = values["DATABASE_URL"], values["DATABASE_OWNER_URL"]
        return {**values, "DATABASE_URL": owner, "DATABASE_APP_URL": app}

    def start_postgres(self) -> Running:
        server = self.postgres()
        server.prepare()
        running = self._start(server.process())
        server.bootstrap(self.roles())
        return running

    def start_valkey(self) -> Running:
        server = self.valkey()
        server.prepare()
        return self._start(server.process())

    def start_s3(self) -> Running:
        server = self.s3()
        server.prepare()
        return self._start(server.process())

    def start_triton(self) -> Running:
        server = self.triton()
        server.prepare()
        return self._start(server.process())

    def start_mlflow(self) -> Running:
        """Needs Postgres and S3."""
        server = self.mlflow()
        server.prepare()
        return self._start(server.process())

    def stop(self) -> None:
        """Stop everything in reverse order and delete its data."""
        while self.running:
            self.running.pop().stop()
        _delete(self.home)

    def app_url(self, database: str) -> str:
        """How the runtime role, which owns nothing, reaches a database."""
        password = self.secrets["POSTGRES_APP_PASSWORD"]
        return self.postgres().url(user=APP, password=password, database=database)

    def owner_url(self, database: str) -> str:
        password = self.secrets["POSTGRES_OWNER_PASSWORD"]
        return self.postgres().url(user=OWNER, password=password, database=database)

    def _start(self, process: Process) -> Running:
        running = start(process, log=self.home / "logs" / f"{process.name}.log")
        self.running.append(running)
        running.wait_ready()
        return running


def sweep() -> None:
    """Delete what runs that were killed left behind; their processes died with them."""
    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not _in_use(home):
            _delete(home)


def _in_use(home: Path) -> bool:
    try:
        return psutil.pid_exists(int((home / PID_FILE).read_text()))
    except (OSError, ValueError):
        # Being made this very moment, or not ours to read.
        return True


def _delete(home: Path) -> None:
    shutil.rmtree(places.postgres(home), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)
