"""supervisord: its configuration, starting it, and talking to it over its unix socket."""

import json
import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import psutil
from supervisor.xmlrpc import SupervisorTransport

from embedded import places
from embedded.errors import EmbeddedError, StartFailed
from embedded.files import write_private
from embedded.installation import Installation
from embedded.processes import Process, tail

LEASH = Path(__file__).with_name("leash.py")
LOG_BYTES = "10MB"
LOG_BACKUPS = 3
START_RETRIES = 30
# A unix socket's address holds 107 bytes, and supervisord appends its pid while binding.
SOCKET_PATH_MAX = 95
LAUNCH_SECONDS = 15.0

ACTIVE = frozenset({"STARTING", "RUNNING", "BACKOFF"})

State = dict[str, Any]


class Supervisord:
    """The supervisord of one installation."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._run = installation.run
        self.socket = _socket_path(installation.home)

    @property
    def configuration(self) -> Path:
        return self._run / "supervisord.conf"

    def responds(self) -> bool:
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def launch(self, processes: Iterable[Process]) -> None:
        """Write orders and configuration and start it, with nothing running yet."""
        self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._installation.logs.mkdir(mode=0o700, exist_ok=True)
        known = list(processes)
        for process in known:
            write_private(self._order(process.name), json.dumps(_order(process)))
        write_private(self.configuration, "\n".join(self._sections(known)))
        command = (sys.executable, "-m", "supervisor.supervisord", "-c", str(self.configuration))
        result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        if result.returncode:
            raise StartFailed(f"supervisord: {result.stdout}{result.stderr}")
        self._await_response()

    def start(self, name: str) -> None:
        """Start one process unless it runs; returns at once."""
        if self.state(name)["statename"] not in {"STARTING", "RUNNING"}:
            self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Stop one process and wait until it is gone."""
        if self.state(name)["statename"] in ACTIVE:
            self._call("stopProcess", name, True)

    def state(self, name: str) -> State:
        return cast(State, self._call("getProcessInfo", name))

    def states(self) -> list[State]:
        return cast(list[State], self._call("getAllProcessInfo"))

    def active(self) -> frozenset[str]:
        """The names of what runs, or is being started again."""
        return frozenset(s["name"] for s in self.states() if s["statename"] in ACTIVE)

    def shutdown(self, *, seconds: float = 60.0) -> None:
        """End supervisord itself, stopping whatever still runs."""
        pid = cast(int, self._call("getPID"))
        self._call("shutdown")
        try:
            psutil.Process(pid).wait(seconds)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired as error:
            raise EmbeddedError(
                f"supervisord (pid {pid}) did not end in {seconds:.0f} s"
            ) from error

    def log(self, name: str) -> Path:
        return self._installation.logs / f"{name}.log"

    def _await_response(self) -> None:
        deadline = time.monotonic() + LAUNCH_SECONDS
        while not self.responds():
            if time.monotonic() > deadline:
                raise StartFailed(f"supervisord does not answer\n{tail(self.log('supervisord'))}")
            time.sleep(0.05)

    def _call(self, method: str, *arguments: object) -> object:
        transport = SupervisorTransport(serverurl=f"unix://{self.socket}")
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()

    def _order(self, name: str) -> Path:
        return self._run / f"{name}.json"

    def _sections(self, processes: Iterable[Process]) -> list[str]:
        own = {
            "logfile": self.log("supervisord"),
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": LOG_BACKUPS,
            "pidfile": self._run / "supervisord.pid",
            "childlogdir": self._installation.logs,
            "identifier": "switchyard",
        }
        if os.geteuid() == 0:
            own["user"] = "root"
        factory = "supervisor.rpcinterface:make_main_rpcinterface"
        return [
            *_section("supervisord", own),
            *_section("unix_http_server", {"file": self.socket, "chmod": "0700"}),
            *_section("rpcinterface:supervisor", {"supervisor.rpcinterface_factory": factory}),
            *(line for process in processes for line in self._program(process)),
        ]

    def _program(self, process: Process) -> list[str]:
        words = (sys.executable, "-I", "-S", str(LEASH), str(self._order(process.name)))
        return _section(
            f"program:{process.name}",
            {
                "command": " ".join(f'"{word}"' for word in words),
                "autostart": "false",
                "autorestart": "true",
                "startsecs": process.settle_seconds,
                "startretries": START_RETRIES,
                "stopsignal": process.stop_signal.name.removeprefix("SIG"),
                "stopwaitsecs": int(process.stop_seconds),
                "stopasgroup": str(process.group_stop).lower(),
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": self.log(process.name),
                "stdout_logfile_maxbytes": LOG_BYTES,
                "stdout_logfile_backups": LOG_BACKUPS,
            },
        )


def _order(process: Process) -> dict[str, object]:
    return {
        "command": list(process.command),
        "env": dict(process.env),
        "cwd": str(process.cwd),
        "user": process.user,
        "death_signal": int(process.stop_signal),
    }


def _section(title: str, options: Mapping[str, object]) -> list[str]:
    lines = (f"{name}={str(value).replace('%', '%%')}" for name, value in options.items())
    return [f"[{title}]", *lines, ""]


def _socket_path(home: Path) -> Path:
    direct = home / "run" / "supervisor.sock"
    if len(str(direct)) <= SOCKET_PATH_MAX:
        return direct
    return places.short(home) / "supervisor.sock"
