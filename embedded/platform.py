"""The processes of the platform: their commands, what they need, and when they are ready."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Protocol

import psycopg
import redis

from embedded import places
from embedded.errors import EmbeddedError, NotReady
from embedded.installation import Installation
from embedded.probes import Probe, alive, http_probe
from embedded.processes import Process

# Steps of a start that are not processes, and what they need.
ROLES = "roles"
MIGRATIONS = "migrations"
TASKS: Mapping[str, frozenset[str]] = {
    ROLES: frozenset({"postgres"}),
    MIGRATIONS: frozenset({ROLES}),
}
# How long Django takes to load, when nothing else tells that a process has come that far.
IMPORT_SECONDS = 4
QUIET = "--without-mingle"  # there is one worker; it need not wait for others to answer
QUEUES = "default,deployments,monitoring"
CELERY = ("-A", "controlplane.celery:app")
NAMES = (
    "postgres",
    "valkey",
    "s3",
    "mlflow",
    "triton",
    "puller",
    "web",
    "worker",
    "beat",
    "relay",
    "ingest",
    "gateway",
    "recorder",
)


class Service(Protocol):
    """A part that we did not write."""

    def process(self) -> Process: ...


def processes(installation: Installation) -> dict[str, Process]:
    """Every process that this installation runs itself, by name, in the order of NAMES."""
    known = {
        process.name: process
        for process in (*_services(installation), *_ours(Builder(installation)))
    }
    return {name: known[name] for name in NAMES if name in known}


def _services(installation: Installation) -> list[Process]:
    parts = installation.parts
    services: Mapping[str, Service] = {
        "postgres": parts.postgres(),
        "valkey": parts.valkey(),
        "s3": parts.s3(),
        "mlflow": parts.mlflow(),
        "triton": parts.triton(),
    }
    return [
        service.process() for name, service in services.items() if name not in installation.external
    ]


def _ours(build: "Builder") -> list[Process]:
    control = [
        build.control("web", *_uvicorn(build.port("WEB")), ports=("WEB",), probe=build.web_ready()),
        build.control(
            "worker",
            *_celery(
                "worker", "-Q", QUEUES, "--concurrency", build.concurrency(), "--without-mingle"
            ),
            probe=build.worker_ready(),
            stop_seconds=20,
        ),
        build.control(
            "beat", *_celery("beat", "--pidfile="), probe=alive, settle_seconds=IMPORT_SECONDS
        ),
        build.control("relay", *_manage("relay"), probe=build.relay_ready()),
        build.control(
            "ingest",
            *_manage("ingest"),
            ports=("INGEST_METRICS",),
            probe=http_probe(port=build.port("INGEST_METRICS"), path="/metrics"),
        ),
    ]
    data = [
        build.data(
            "gateway",
            "dataplane.gateway",
            ports=("GATEWAY_HTTP", "GATEWAY_GRPC"),
            probe=http_probe(port=build.port("GATEWAY_HTTP"), path="/healthz"),
            stop_seconds=20,
        ),
        build.data("recorder", "dataplane.recorder", probe=alive),
    ]
    return [*control, *data, *build.puller()]


def selected(known: Mapping[str, Process], only: frozenset[str]) -> frozenset[str]:
    """The steps (processes and tasks) that a start of `only` takes: all of them when empty.

    Raises EmbeddedError for a name that is no process of this installation.
    """
    unknown = only - known.keys()
    if unknown:
        raise EmbeddedError(f"not a process that is started here: {', '.join(sorted(unknown))}")
    needs = {**TASKS, **{name: process.needs for name, process in known.items()}}
    found: set[str] = set()
    pending = set(only or known)
    while pending:
        name = pending.pop()
        found.add(name)
        pending |= (needs[name] & needs.keys()) - found
    # A database without its roles is of no use to anyone.
    return frozenset(found | ({ROLES} if "postgres" in found else set()))


def _uvicorn(port: int) -> tuple[str, ...]:
    where = ("--host", "127.0.0.1", "--port", str(port))
    quiet = ("--no-access-log", "--lifespan", "off", "--timeout-graceful-shutdown", "5")
    return ("-m", "uvicorn", "controlplane.asgi:application", *where, *quiet)


def _celery(command: str, *arguments: str) -> tuple[str, ...]:
    return ("-m", "celery", *CELERY, command, *arguments, "--loglevel", "INFO")


def _manage(command: str) -> tuple[str, ...]:
    return (str(places.CHECKOUT / "manage.py"), command)


# Least privilege: a process that is broken into should not hold what it never needed.
_OF_CONTROL_PLANE = frozenset(
    {"DATABASE_URL", "DATABASE_OWNER_URL", "DJANGO_SECRET_KEY", "ROUTING_SIGNING_KEY"}
)
_OF_DATA_PLANE = frozenset({"UNIT_HASH_KEY", "TRITON_CONTROL_KEY"})
_OF_PULLER = frozenset(
    {"TRITON_CONTROL_KEY", "PULLER_TOKEN", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"}
)


class Builder:
    """Makes descriptions of our own processes, which share interpreter and environment."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._env = python_environment(installation)
        self._secrets = {
            "control": _OF_DATA_PLANE | {"DATABASE_OWNER_URL"},
            "puller": _OF_CONTROL_PLANE | {"UNIT_HASH_KEY"},
            "data": _OF_CONTROL_PLANE | _OF_PULLER,
        }

    def port(self, name: str) -> int:
        return self._installation.ports[name]

    def concurrency(self) -> str:
        return os.environ.get("SWITCHYARD_WORKER_CONCURRENCY", "2")

    def control(
        self,
        name: str,
        *arguments: str,
        probe: Probe,
        ports: tuple[str, ...] = (),
        stop_seconds: float = 10.0,
        settle_seconds: int = 1,
    ) -> Process:
        """A process of the control plane: needs the migrated schema and Valkey."""
        needs = frozenset({MIGRATIONS, "valkey"})
        process = self._process(name, arguments, probe, needs, ports, stop_seconds)
        env = self._without("control")
        return dataclasses.replace(process, settle_seconds=settle_seconds, env=env)

    def data(
        self,
        name: str,
        module: str,
        *,
        probe: Probe,
        ports: tuple[str, ...] = (),
        stop_seconds: float = 10.0,
        needs: frozenset[str] = frozenset({"valkey"}),
    ) -> Process:
        """A process of the data plane: knows no Django and no Postgres."""
        process = self._process(name, ("-m", module), probe, needs, ports, stop_seconds)
        env = self._without("puller" if name == "puller" else "data")
        return dataclasses.replace(process, env=env)

    def _without(self, kind: str) -> Mapping[str, str]:
        """The environment less the secrets that this kind of process has no use for."""
        return {n: v for n, v in self._env.items() if n not in self._secrets[kind]}

    def puller(self) -> list[Process]:
        """It sits beside Triton: where Triton lives elsewhere, so does its puller."""
        if "triton" in self._installation.external:
            return []
        probe = http_probe(port=self.port("PULLER"), path="/healthz")
        needs = frozenset({"triton"})
        return [
            self.data(
                "puller", "dataplane.triton.puller", probe=probe, ports=("PULLER",), needs=needs
            )
        ]

    def web_ready(self) -> Probe:
        return http_probe(port=self.port("WEB"), path="/readyz")

    def relay_ready(self) -> Probe:
        return relay_probe(url=self._installation.values["DATABASE_URL"])

    def worker_ready(self) -> Probe:
        return worker_probe(broker_url=self._installation.values["CELERY_BROKER_URL"])

    def _process(
        self,
        name: str,
        arguments: tuple[str, ...],
        probe: Probe,
        needs: frozenset[str],
        ports: tuple[str, ...],
        stop_seconds: float,
    ) -> Process:
        return Process(
            name=name,
            command=(sys.executable, *arguments),
            cwd=self._installation.home,
            env=self._env,
            probe=probe,
            needs=needs,
            ports={port: self.port(port) for port in ports},
            stop_seconds=stop_seconds,
        )


def python_environment(installation: Installation) -> Mapping[str, str]:
    """What our own processes see: the caller's environment, then this installation's values."""
    # Without bytecode on disk every start would compile the libraries again: seconds each.
    inherited = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
    path = filter(None, [os.environ.get("PYTHONPATH")])
    return {
        **inherited,
        **installation.values,
        "PYTHONPATH": os.pathsep.join((str(places.CHECKOUT), *path)),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "controlplane.settings",
    }


def worker_probe(*, broker_url: str) -> Probe:
    """Ready when a worker listens to its control channel."""

    def probe() -> None:
        client = redis.Redis.from_url(broker_url, socket_timeout=2)
        try:
            listening = client.pubsub_numpat()
        except redis.RedisError as error:
            raise NotReady(str(error)) from error
        finally:
            client.close()
        if not listening:
            raise NotReady("no worker listens to its control channel")

    return probe


def relay_probe(*, url: str) -> Probe:
    """Ready when a relay is connected to the database, leading or waiting to."""

    def probe() -> None:
        query = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'switchyard-relay'"
        try:
            with psycopg.connect(url, connect_timeout=2) as connection:
                found = connection.execute(query).fetchone()
        except psycopg.OperationalError as error:
            raise NotReady(str(error).strip()) from error
        if not found:
            raise NotReady("no relay is connected to the database")

    return probe
