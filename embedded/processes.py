"""What a process of the platform is, and how to run one directly (tests and `embedded.dev`).

`python -m embedded up` hands the same descriptions to supervisord instead.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedded.errors import NotReady, StartFailed
from embedded.probes import Probe

PR_SET_PDEATHSIG = 1
POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Process:
    """A command with all that is needed to run, probe and stop it.

    `env` is the complete environment (nothing is inherited); `ports` maps the name of a port
    setting to the number the process binds; `user` is empty for the current one; `group_stop`
    signals the whole process group, for commands that fork and do not pass signals on; a
    process that ends within `settle_seconds` counts as not started; `leavings` are files outside
    its own directory that it forgets when it ends.
    """

    name: str
    command: tuple[str, ...]
    probe: Probe
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    user: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    ready_seconds: float = 180.0
    settle_seconds: int = 1
    group_stop: bool = False
    leavings: tuple[Path, ...] = ()

    def clear_away(self) -> None:
        """Delete what it left behind."""
        for path in self.leavings:
            path.unlink(missing_ok=True)


class Running:
    """A child of this process; it dies with the thread that started it."""

    def __init__(self, process: Process, child: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.child = child
        self.log = log

    @property
    def pid(self) -> int:
        return self.child.pid

    def wait_ready(self) -> None:
        """Raises StartFailed with the end of the log when the process ends or stays unready."""
        deadline = time.monotonic() + self.process.ready_seconds
        while True:
            try:
                self.process.probe()
            except NotReady as reason:
                self._check_alive()
                if time.monotonic() > deadline:
                    raise StartFailed(self._complaint(f"not ready: {reason}")) from reason
                time.sleep(POLL_S)
            else:
                return

    def kill(self) -> None:
        """End it as a crash would: SIGKILL to the whole process group."""
        self._signal(signal.SIGKILL)
        self.child.wait()
        self.process.clear_away()

    def stop(self) -> None:
        """Ask it to stop, then insist."""
        if self.child.poll() is None:
            self._signal(self.process.stop_signal)
        try:
            self.child.wait(self.process.stop_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.clear_away()

    def _signal(self, number: signal.Signals) -> None:
        whole_group = self.process.group_stop or number == signal.SIGKILL
        try:
            if whole_group:
                os.killpg(self.child.pid, number)
            else:
                self.child.send_signal(number)
        except ProcessLookupError:
            return

    def _check_alive(self) -> None:
        if self.child.poll() is not None:
            raise StartFailed(self._complaint(f"ended with status {self.child.returncode}"))

    def _complaint(self, what: str) -> str:
        return f"{self.process.name} {what}\n{tail(self.log)}"


def start(process: Process, *, log: Path) -> Running:
    """Start a process as our child; raises StartFailed when the command cannot be run."""
    log.parent.mkdir(parents=True, exist_ok=True)
    identity = _identity(process.user)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                process.command,
                env=dict(process.env),
                cwd=process.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_dies_with_parent(process.stop_signal),
                user=identity.uid,
                group=identity.gid,
                extra_groups=identity.groups,
            )
        except OSError as error:
            raise StartFailed(f"{process.name} cannot be started: {error}") from error
    return Running(process, child, log)


def tail(log: Path, *, lines: int = 20) -> str:
    """The last lines of a log file, or nothing when there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


@dataclass(frozen=True)
class _Identity:
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None


def _identity(user: str) -> _Identity:
    if not user:
        return _Identity()
    entry = pwd.getpwnam(user)
    return _Identity(entry.pw_uid, entry.pw_gid, ())


def _dies_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Ask the kernel to signal the child when its parent goes, whatever way it goes."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return arrange
