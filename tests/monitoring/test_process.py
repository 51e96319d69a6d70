"""`manage.py ingest` as a process of the runtime role: killed, cut off, told to stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from django.db import connection
from django.db.models import Sum

from apps.monitoring.models import TrafficWindow
from contracts.records import ACKED_KEY
from embedded import ports
from embedded.private import PrivateServices
from tests.monitoring.factories import BOOT, GATEWAY, batch, counter, record, send

pytestmark = pytest.mark.django_db(transaction=True)
MANAGE = Path(__file__).parents[2] / "manage.py"
Connection = psycopg.Connection[tuple[object, ...]]
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def metrics_port() -> int:
    return next(iter(ports.free().values()))


@pytest.fixture
def start(services: PrivateServices, metrics_port: int, tmp_path: Path) -> Iterator[Start]:
    """Starts an ingest process on the tests' database."""
    started: list[subprocess.Popen[bytes]] = []
    own = {
        "DATABASE_URL": services.app_url(str(connection.settings_dict["NAME"])),
        "INGEST_METRICS_PORT": str(metrics_port),
        "INGEST_STALE_S": "0.5",
    }

    def run() -> "subprocess.Popen[bytes]":
        with (tmp_path / f"ingest-{len(started)}.log").open("wb") as log:
            command = [sys.executable, str(MANAGE), "ingest"]
            process = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def requests() -> int:
    return int(TrafficWindow.objects.aggregate(total=Sum("requests"))["total"] or 0)


def wait_for(reached: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.05)


def cut_off(role: Connection) -> None:
    """End every other connection of the role."""
    role.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = current_user AND pid <> pg_backend_pid()"
    )


def test_ingest__killed_and_cut_off_from_postgres__counts_equal_what_was_sent(
    redis_client: "redis.Redis", start: Start, metrics_port: int, app_role: Connection
) -> None:
    send(redis_client, *(batch(seq, counters=(counter(),)) for seq in range(1, 101)))
    first = start()
    wait_for(lambda: requests() > 0)
    first.kill()
    send(redis_client, *(batch(seq, counters=(counter(),)) for seq in range(101, 201)))
    second = start()
    wait_for(lambda: requests() > 100)
    cut_off(app_role)
    send(redis_client, *(batch(seq, counters=(counter(),)) for seq in range(201, 301)))
    wait_for(lambda: redis_client.hget(ACKED_KEY, f"{GATEWAY}:{BOOT}") == b"300")
    assert requests() == 300
    text = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    assert 'switchyard_ingest_batches_total{result="new"}' in text
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0


def test_ingest__store_away__counts_go_on(
    redis_client: "redis.Redis", start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    send(redis_client, *(batch(n, counters=(counter(),), records=(record(),)) for n in (1, 2)))
    process = start()
    wait_for(lambda: requests() == 2)
    process.terminate()
    assert process.wait(30) == 0
