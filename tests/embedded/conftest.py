"""A small platform started through the command line, as a person would."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from embedded import lifecycle, places
from embedded.installation import COMPANIONS, EXTERNAL

SMALL = "postgres,valkey"


@dataclass
class CommandLine:
    """`python -m embedded` on one home, with none of the test run's addresses in sight."""

    SYSTEM_PYTHON: ClassVar = "/usr/bin/python3.11"

    home: Path
    env: dict[str, str] = field(default_factory=dict)
    as_user: str | None = None

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command, *rest = arguments
        # Our own interpreter may lie where another account cannot reach it.
        python = self.SYSTEM_PYTHON if self.as_user else sys.executable
        return subprocess.run(
            (python, "-m", "embedded", command, "--home", str(self.home), *rest),
            env={**_without_addresses(), **self.env, "PYTHONPATH": _python_path()},
            user=self.as_user,
            extra_groups=() if self.as_user else None,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    def background(self, command: str, *rest: str) -> "subprocess.Popen[bytes]":
        """The same, without waiting, in a process group of its own."""
        return subprocess.Popen(
            (sys.executable, "-m", "embedded", command, "--home", str(self.home), *rest),
            env={**_without_addresses(), **self.env, "PYTHONPATH": _python_path()},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            # A shell's background jobs ignore Ctrl-C, and so would everything started by them.
            preexec_fn=_hear_interrupts,
        )

    def pids(self) -> dict[str, int]:
        """The process id of everything that runs, by name."""
        lines = (line.split() for line in self("status").stdout.splitlines())
        return {words[0]: int(words[3].strip(",")) for words in lines if words[2:3] == ["pid"]}

    def endpoints(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.home / "endpoints.json").read_text())
        return found


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _python_path() -> str:
    return os.pathsep.join((str(places.CHECKOUT), sysconfig.get_path("purelib")))


def _without_addresses() -> dict[str, str]:
    names = set(EXTERNAL.values()) | {
        name for companions in COMPANIONS.values() for name in companions
    }
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return {**kept, "SWITCHYARD_ENV": "demo"}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[CommandLine]:
    """A command line on an empty home, which is deleted afterwards."""
    home = tmp_path / "home"
    yield CommandLine(home)
    lifecycle.reset(home)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Postgres and Valkey up, on free ports."""
    home = tmp_path_factory.mktemp("small") / "home"
    command_line = CommandLine(home)
    started = command_line("up", "--free-ports", "--only", SMALL)
    assert started.returncode == 0, started.stderr
    yield command_line
    lifecycle.reset(home)
