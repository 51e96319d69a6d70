"""`python -m embedded run -- COMMAND`: the platform for as long as one command runs.

`{endpoints}` in the command stands for the path of `endpoints.json`.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from embedded import endpoints, lifecycle, places
from embedded.errors import EmbeddedError
from embedded.private import new_home, sweep

LOOK_S = 5.0
KEPT_LOGS = places.CHECKOUT / "test-results" / "logs"


class Terminated(KeyboardInterrupt):
    """Somebody asked this process, and nobody else, to stop."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """The platform started for one command, and stopped when the command ends."""

    command: Sequence[str]
    free_ports: bool
    only: frozenset[str] = frozenset()

    def at(self, home: Path) -> int:
        """Returns the command's status. A platform that was up before stays up."""
        was_up = bool(lifecycle.status(home))
        with _stoppable():
            try:
                lifecycle.up(home, free_ports=self.free_ports, only=self.only)
                return self._run(home)
            finally:
                if not was_up:
                    lifecycle.down(home)

    def temporary(self) -> int:
        """In a home of its own, which is deleted; logs are kept when the command fails."""
        sweep()
        home = new_home()
        status = 1
        try:
            status = self.at(home)
        finally:
            if status:
                _keep_logs(home)
            lifecycle.reset(home)
        return status

    def _run(self, home: Path) -> int:
        file = str(home / endpoints.FILE)
        words = [word.replace("{endpoints}", file) for word in self.command]
        if not words:
            raise EmbeddedError("no command was given: python -m embedded run -- COMMAND")
        child = subprocess.Popen(words, env={**os.environ, "SWITCHYARD_HOME": str(home)})
        try:
            return _wait(child, home)
        except Terminated:
            child.terminate()
            return child.wait()
        except KeyboardInterrupt:
            # The terminal sent it to the command as well, which may have something to say first.
            return child.wait()


def _wait(child: "subprocess.Popen[bytes]", home: Path) -> int:
    """Until the command ends, or the platform under it is stopped by somebody else."""
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(LOOK_S)
        if not lifecycle.status(home):
            print("the platform was stopped: stopping what ran on it")
            child.terminate()
            return child.wait()


def _keep_logs(home: Path) -> None:
    if (home / "logs").exists():
        shutil.rmtree(KEPT_LOGS, ignore_errors=True)
        shutil.copytree(home / "logs", KEPT_LOGS)
        print(f"logs are kept in {KEPT_LOGS}")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Make a SIGTERM stop the platform as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
