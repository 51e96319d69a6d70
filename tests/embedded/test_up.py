"""Starting, restarting and stopping, on real processes."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from embedded import places
from embedded.private import PrivateServices
from tests.embedded.conftest import SMALL, CommandLine


def eventually_gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_up__first_start__says_one_line_per_process(embedded: CommandLine) -> None:
    started = embedded("up", "--free-ports", "--only", "valkey")
    assert "valkey      ready" in started.stdout


def test_up__secrets_and_endpoints__only_for_their_owner(small: CommandLine) -> None:
    for name in ("secrets.env", "endpoints.json", "run/supervisord.conf", "run/valkey.json"):
        assert stat.S_IMODE((small.home / name).stat().st_mode) == 0o600


def test_up__runtime_role__reaches_the_database_of_the_endpoints(small: CommandLine) -> None:
    with psycopg.connect(small.endpoints()["postgres"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("switchyard_app",)


def test_up__already_running__changes_nothing(small: CommandLine) -> None:
    before = small.pids()
    assert small("up", "--only", SMALL).returncode == 0
    assert small.pids() == before


def test_up__taken_port__names_holder_and_setting(embedded: CommandLine) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        embedded.env = {"SWITCHYARD_PORT_VALKEY": str(port)}
        refused = embedded("up", "--only", "valkey")
    assert refused.returncode == 1
    assert f"port {port} is held by" in refused.stderr
    assert f"(pid {os.getpid()}," in refused.stderr
    assert "set SWITCHYARD_PORT_VALKEY" in refused.stderr
    assert embedded("status").returncode == 3


def test_up__process_that_cannot_run__shows_its_log_and_stops_the_rest(
    embedded: CommandLine,
) -> None:
    place = places.postgres(embedded.home)
    (embedded.home / "valkey").mkdir(parents=True)
    (embedded.home / "valkey" / "appendonlydir").write_text("in the way")
    refused = embedded("up", "--free-ports", "--only", SMALL)
    assert refused.returncode == 1
    assert "valkey ended while starting" in refused.stderr
    assert "appendonly" in refused.stderr
    assert not (place / "data" / "postmaster.pid").exists()


def test_up__killed_process__comes_back(small: CommandLine) -> None:
    before = small.pids()["valkey"]
    os.kill(before, signal.SIGKILL)
    for _ in range(100):
        after = small.pids().get("valkey", before)
        if after != before:
            break
        time.sleep(0.1)
    assert after != before


def test_up__killed_supervisor__leaves_nothing_and_starts_again(embedded: CommandLine) -> None:
    embedded("up", "--free-ports", "--only", SMALL)
    pids = embedded.pids()
    supervisor = int((embedded.home / "run" / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    assert all(eventually_gone(pid) for pid in pids.values())
    assert embedded("up", "--free-ports", "--only", SMALL).returncode == 0


def test_up__second_start__quick_and_with_the_data_of_the_first(embedded: CommandLine) -> None:
    embedded("up", "--free-ports", "--only", SMALL)
    redis.Redis.from_url(embedded.endpoints()["redis"]).set("kept", "1")
    embedded("down")
    begun_at = time.monotonic()
    embedded("up", "--free-ports", "--only", SMALL)
    assert time.monotonic() - begun_at < 15
    client = redis.Redis.from_url(embedded.endpoints()["redis"])
    assert client.get("kept") == b"1"
    client.close()


def test_up__external_database__leaves_postgres_out(
    embedded: CommandLine, services: PrivateServices
) -> None:
    embedded.env = {"DATABASE_URL": services.app_url("switchyard")}
    refused = embedded("up", "--free-ports", "--only", "postgres")
    assert "not a process that is started here: postgres" in refused.stderr


def test_up__external_store_without_keys__names_the_missing_setting(
    embedded: CommandLine,
) -> None:
    embedded.env = {"TRITON_URL": "http://127.0.0.1:1"}
    refused = embedded("up", "--only", "valkey")
    assert "TRITON_URL is set, so TRITON_GRPC_URL must be set too" in refused.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change accounts")
def test_up__as_root_below_a_private_directory__postgres_runs_as_nobody(
    small: CommandLine,
) -> None:
    small.home.parent.chmod(0o700)
    process = psutil.Process(small.pids()["postgres"])
    place = places.postgres(small.home)
    assert process.username() == "nobody"
    assert Path(process.exe()).is_relative_to(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_up__as_an_ordinary_user__needs_no_other_account() -> None:
    place = ordinary_place()
    command_line = CommandLine(place / "home", as_user="nobody")
    try:
        started = command_line("up", "--free-ports", "--only", SMALL)
        assert started.returncode == 0, started.stderr
        assert psutil.Process(command_line.pids()["postgres"]).username() == "nobody"
        assert (place / "home" / "postgres" / "data").exists()
    finally:
        command_line("reset", "--yes")
        shutil.rmtree(place)


def _may_enter(user: str, place: Path) -> bool:
    command = ("test", "-r", str(place / "manage.py"))
    return subprocess.run(command, user=user, extra_groups=(), check=False).returncode == 0


def ordinary_place() -> Path:
    """A directory that `nobody` may enter and write."""
    if not Path(CommandLine.SYSTEM_PYTHON).exists():
        pytest.skip(f"no {CommandLine.SYSTEM_PYTHON} that every account may run")
    if not _may_enter("nobody", places.CHECKOUT):
        pytest.skip("this checkout lies where no other account may enter: root's alone")
    place = Path(tempfile.mkdtemp(prefix="switchyard-ordinary-", dir="/var/tmp"))
    shutil.chown(place, "nobody")
    return place


def test_up__home_with_a_long_path__finds_room_for_its_socket(tmp_path: Path) -> None:
    embedded = CommandLine(tmp_path / ("long" * 30) / "home")
    try:
        assert embedded("up", "--free-ports", "--only", "valkey").returncode == 0
        assert set(embedded.pids()) == {"valkey"}
    finally:
        embedded("reset", "--yes")


def test_down__other_processes__are_left_alone(
    embedded: CommandLine, redis_client: "redis.Redis"
) -> None:
    embedded("up", "--free-ports", "--only", "valkey")
    own = embedded.pids()["valkey"]
    assert embedded("down").returncode == 0
    assert not psutil.pid_exists(own)
    assert redis_client.ping()


def test_down__nothing_running__says_so(embedded: CommandLine) -> None:
    assert "nothing was running" in embedded("down").stdout


def test_reset__confirmed__leaves_no_state(embedded: CommandLine) -> None:
    embedded("up", "--free-ports", "--only", SMALL)
    assert embedded("reset", "--yes").returncode == 0
    assert not embedded.home.exists()
    # Started by root, Postgres keeps its files elsewhere, as an account of its own.
    assert not places.postgres(embedded.home).exists()


def test_run__command_that_fails__hands_on_its_status_and_stops_everything(
    embedded: CommandLine,
) -> None:
    script = "import json,sys; print(json.load(open(sys.argv[1]))['redis']); sys.exit(7)"
    command = (sys.executable, "-c", script, "{endpoints}")
    finished = embedded("run", "--free-ports", "--only", "valkey", "--", *command)
    assert finished.returncode == 7
    assert "redis://" in finished.stdout
    assert embedded("status").returncode == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run__interrupted__stops_the_command_and_everything(
    embedded: CommandLine, number: signal.Signals
) -> None:
    with embedded.background("run", "--free-ports", "--only", "valkey", "--", "sleep", "60") as run:
        while not embedded.pids():
            time.sleep(0.2)
        if number == signal.SIGINT:
            os.killpg(run.pid, number)  # as a terminal does
        else:
            run.send_signal(number)
        run.wait(30)
    assert embedded("status").returncode == 3


def test_run__platform_stopped_elsewhere__stops_the_command(embedded: CommandLine) -> None:
    with embedded.background(
        "run", "--free-ports", "--only", "valkey", "--", "sleep", "300"
    ) as run:
        while "valkey" not in embedded.pids():
            time.sleep(0.2)
        while "another start or stop" in embedded("down").stderr:
            time.sleep(0.2)
        assert run.wait(60) != 0
