"""Secrets, ports and parts that live elsewhere, without starting anything."""

import stat
from pathlib import Path

import pytest

from embedded import credentials, installation, platform, ports
from embedded.errors import EmbeddedError
from embedded.installation import Installation

STORE = {
    "S3_ENDPOINT_URL": "https://s3.example.org",
    "S3_ACCESS_KEY_ID": "theirs",
    "S3_SECRET_ACCESS_KEY": "secret",
}
DATABASE = {"DATABASE_URL": "postgresql://u:p@db.example.org/switchyard"}


def opened(home: Path, **environ: str) -> Installation:
    return installation.open_installation(home, chosen_ports=ports.DEFAULTS, environ=environ)


def test_secrets__second_opening__are_the_same(tmp_path: Path) -> None:
    first = opened(tmp_path).secrets
    assert opened(tmp_path).secrets == first
    assert stat.S_IMODE((tmp_path / credentials.FILE).stat().st_mode) == 0o600


def test_secrets__file_of_an_older_release__gains_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / credentials.FILE).write_text("PULLER_TOKEN=kept\n")
    secrets = credentials.load_or_create(tmp_path)
    assert secrets["PULLER_TOKEN"] == "kept"
    assert secrets["METRICS_TOKEN"]


def test_ports__setting_that_is_no_port__refused() -> None:
    with pytest.raises(EmbeddedError, match="SWITCHYARD_PORT_WEB must be a port number"):
        ports.from_environment({"SWITCHYARD_PORT_WEB": "http"})


def test_ports__free__all_different() -> None:
    chosen = ports.free()
    assert len(set(chosen.values())) == len(ports.DEFAULTS)


def test_ports__defaults__apart_from_the_standard_ones() -> None:
    assert not set(ports.DEFAULTS.values()) & {5000, 5432, 6379, 8000, 8001, 8002, 8080, 8333}


def test_parts__nothing_elsewhere__all_processes(tmp_path: Path) -> None:
    assert tuple(platform.processes(opened(tmp_path))) == platform.NAMES


@pytest.mark.parametrize(
    ("environ", "left_out"),
    [
        (DATABASE, {"postgres"}),
        ({"REDIS_URL": "redis://cache.example.org/0"}, {"valkey"}),
        (STORE, {"s3"}),
        ({"MLFLOW_TRACKING_URI": "https://mlflow.example.org"}, {"mlflow"}),
        (
            {
                "TRITON_URL": "http://gpu:8000",
                "TRITON_GRPC_URL": "gpu:8001",
                "PULLER_URL": "http://gpu:8009",
                "PULLER_TOKEN": "a-token-of-theirs",
            },
            {"triton", "puller"},
        ),
    ],
)
def test_parts__address_given__is_left_out_and_handed_on(
    tmp_path: Path, environ: dict[str, str], left_out: set[str]
) -> None:
    found = opened(tmp_path, **environ)
    assert set(platform.NAMES) - platform.processes(found).keys() == left_out
    assert environ.items() <= found.values.items()


def test_parts__database_elsewhere__migrates_with_what_was_given(tmp_path: Path) -> None:
    values = opened(tmp_path, **DATABASE).values
    assert values["DATABASE_OWNER_URL"] == DATABASE["DATABASE_URL"]


def test_parts__broker_not_named__is_the_given_redis(tmp_path: Path) -> None:
    values = opened(tmp_path, REDIS_URL="redis://cache.example.org/0").values
    assert values["CELERY_BROKER_URL"] == "redis://cache.example.org/0"


def test_mlflow__stores_elsewhere__uses_them(tmp_path: Path) -> None:
    mlflow = opened(tmp_path, **STORE, **DATABASE).parts.mlflow()
    assert (mlflow.s3_url, mlflow.s3_access_key_id) == ("https://s3.example.org", "theirs")
    assert mlflow.database_url.startswith("sqlite:///")


def test_selected__gateway__needs_no_database(tmp_path: Path) -> None:
    known = platform.processes(opened(tmp_path))
    assert platform.selected(known, frozenset({"gateway"})) == {"gateway", "valkey"}


def test_selected__worker__takes_roles_and_migrations_along(tmp_path: Path) -> None:
    known = platform.processes(opened(tmp_path))
    steps = platform.selected(known, frozenset({"worker"}))
    assert steps == {"worker", "valkey", "postgres", "roles", "migrations"}


def test_remembered__other_environment_later__counts_what_was_started(tmp_path: Path) -> None:
    installation.remember(opened(tmp_path, **DATABASE))
    found = installation.remembered(tmp_path)
    assert found is not None
    assert found.external == {"postgres"}


@pytest.mark.parametrize(
    ("process", "absent"),
    [
        ("web", {"DATABASE_OWNER_URL", "UNIT_HASH_KEY", "TRITON_CONTROL_KEY"}),
        ("gateway", {"DATABASE_URL", "ROUTING_SIGNING_KEY", "S3_SECRET_ACCESS_KEY"}),
        ("recorder", {"DATABASE_URL", "DJANGO_SECRET_KEY", "PULLER_TOKEN"}),
        ("puller", {"DATABASE_URL", "ROUTING_SIGNING_KEY", "UNIT_HASH_KEY"}),
    ],
)
def test_process__secrets_of_others__are_not_in_its_environment(
    tmp_path: Path, process: str, absent: set[str]
) -> None:
    known = platform.processes(opened(tmp_path))
    assert not absent & known[process].env.keys()
