"""The database around the platform: roles, schema, the demonstration's accounts."""

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

from embedded import places
from embedded.errors import StartFailed
from embedded.files import write_private
from embedded.installation import Installation
from embedded.platform import python_environment

ACCOUNTS = "accounts.json"
STOP_SECONDS = 20


class Database:
    """What is done to the database before the processes that use it start."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._external = "postgres" in installation.external

    def end_orphan(self) -> bool:
        """Stop a Postgres that still holds our data though nobody supervises it; was there one?"""
        orphan = _postmaster(self._installation.parts.postgres().data)
        if self._external or orphan is None:
            return False
        orphan.send_signal(signal.SIGINT)
        orphan.wait(STOP_SECONDS)
        return True

    def bootstrap(self) -> None:
        if not self._external:
            parts = self._installation.parts
            parts.postgres().bootstrap(parts.roles())

    def migrate(self) -> None:
        """Bring the schema up to date and make the demonstration's accounts, when it is new.

        Django compares the two in seconds; that neither the migrations nor what the database
        says of them has changed since shows in milliseconds, for a restored backup too.
        """
        stamp = self._installation.run / "migrated"
        wanted = _digest_of_migrations()
        if stamp.exists() and stamp.read_text() == f"{wanted} {self._applied()}":
            return
        self._manage("migrate", "--no-input", "--verbosity", "0")
        self._bootstrap_accounts()
        stamp.write_text(f"{wanted} {self._applied()}")

    def _applied(self) -> str:
        """How many migrations the database has seen, and when the last of them."""
        url = self._installation.values["DATABASE_OWNER_URL"]
        query = "SELECT count(*), max(applied) FROM django_migrations"
        try:
            with psycopg.connect(url, connect_timeout=5) as connection:
                return str(connection.execute(query).fetchone())
        except psycopg.Error:  # it has seen none, or migrating will say what is wrong
            return "none"

    def _bootstrap_accounts(self) -> None:
        if self._installation.values["SWITCHYARD_ENV"] == "demo":
            accounts = json.loads(self._manage("bootstrap_demo"))
            file = self._installation.home / ACCOUNTS
            write_private(file, json.dumps(accounts, indent=2))

    def _manage(self, *arguments: str) -> str:
        result = subprocess.run(
            (sys.executable, str(places.CHECKOUT / "manage.py"), *arguments),
            env=python_environment(self._installation),
            cwd=self._installation.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StartFailed(f"manage.py {arguments[0]} failed:\n{result.stderr[-4000:]}")
        return result.stdout


def _postmaster(data: Path) -> psutil.Process | None:
    """The server that runs on this data directory, if its pid file still tells the truth."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        process = psutil.Process(pid)
        if process.name() == "postgres" and Path(process.cwd()) == data:
            return process
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return None


def _digest_of_migrations() -> str:
    digest = hashlib.sha256()
    for file in _migrations():
        digest.update(str(file.relative_to(places.CHECKOUT)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _migrations() -> Iterator[Path]:
    yield from sorted(places.CHECKOUT.glob("apps/*/migrations/*.py"))
    # A newer library may bring migrations of its own.
    yield places.CHECKOUT / "requirements" / "main.txt"
