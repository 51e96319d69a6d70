"""Bringing the platform up and down: in which order, in parallel where nothing forbids it."""

import fcntl
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded import endpoints, places, ports, schedule
from embedded.console import Report
from embedded.database import Database
from embedded.errors import EmbeddedError, NotReady, StartFailed
from embedded.installation import Installation, open_installation, remember, remembered
from embedded.platform import MIGRATIONS, ROLES, TASKS, processes, selected
from embedded.probes import alive
from embedded.processes import Process, tail
from embedded.schedule import Job
from embedded.supervisord import State, Supervisord

POLL_S = 0.1
POLL_MAX_S = 0.8
ENDPOINTS = "endpoints"
BROKEN = frozenset({"BACKOFF", "EXITED", "FATAL", "STOPPED", "UNKNOWN"})

Action = Callable[[threading.Event], None]


@dataclass(frozen=True)
class Platform:
    """One installation with the processes it runs."""

    installation: Installation
    supervisord: Supervisord
    processes: Mapping[str, Process]


@dataclass(frozen=True)
class Step:
    """A job, and the line it leaves behind."""

    name: str
    needs: frozenset[str]
    word: str
    detail: str
    action: Action

    def job(self, report: Report) -> Job:
        def run(cancelled: threading.Event) -> None:
            report.begin(self.name)
            self.action(cancelled)
            report.done(self.name, self.word, self.detail)

        return Job(self.name, self.needs, run)


def up(home: Path, *, free_ports: bool = False, only: frozenset[str] = frozenset()) -> Installation:
    """Start what is not running and wait until all of it is ready.

    Raises EmbeddedError (PortTaken, StartFailed, …); when nothing ran before, nothing runs then.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _only_one(home):
        platform = _platform(home, free_ports=free_ports)
        names = selected(platform.processes, only)
        fresh = not platform.supervisord.responds()
        try:
            _require_free_ports(platform, names)
            if fresh:
                _launch(platform)
            _start(platform, names)
        except BaseException:
            if fresh and platform.supervisord.responds():
                _stop(platform)
            raise
        return platform.installation


def down(home: Path) -> bool:
    """Stop what `up` started, in reverse order; False when nothing was running."""
    if not (home / "run").exists():
        return False
    with _only_one(home):
        platform = _platform(home)
        if not platform.supervisord.responds():
            return Database(platform.installation).end_orphan()
        _stop(platform)
        return True


def reset(home: Path) -> None:
    """Stop everything and delete its state."""
    down(home)
    for place in (places.postgres(home), places.short(home), home):
        shutil.rmtree(place, ignore_errors=True)


def status(home: Path) -> list[tuple[str, str, str]]:
    """Name, state and detail of each process; empty when nothing runs."""
    if not (home / "run").exists():
        return []
    supervisord = _platform(home).supervisord
    if not supervisord.responds():
        return []
    return [
        (state["name"], state["statename"].lower(), _detail(state))
        for state in supervisord.states()
    ]


def _detail(state: State) -> str:
    """What supervisord says; of a process that only just started it says nothing yet."""
    return str(state["description"] or (f"pid {state['pid']}" if state["pid"] else ""))


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedError(f"another start or stop is under way in {home}") from error
        yield


def _platform(home: Path, *, free_ports: bool = False) -> Platform:
    """The platform as it runs, or as it would be started."""
    installation = remembered(home)
    if installation is None or not Supervisord(installation).responds():
        chosen = _free_ports(installation) if free_ports else ports.from_environment()
        installation = open_installation(home, chosen_ports=chosen)
    return Platform(installation, Supervisord(installation), processes(installation))


def _free_ports(last: Installation | None) -> Mapping[str, int]:
    """Those of the last start, if they are still free, so that addresses stay the same."""
    if last is not None and all(ports.is_free(port) for port in last.ports.values()):
        return last.ports
    return ports.free()


def _require_free_ports(platform: Platform, names: frozenset[str]) -> None:
    running = frozenset[str]()
    if platform.supervisord.responds():
        running = platform.supervisord.active()
    else:
        Database(platform.installation).end_orphan()
    wanted = (platform.processes[name] for name in names - TASKS.keys() - running)
    ports.require_free({name: port for process in wanted for name, port in process.ports.items()})


def _launch(platform: Platform) -> None:
    remember(platform.installation)
    platform.supervisord.launch(platform.processes.values())


def _start(platform: Platform, names: frozenset[str]) -> None:
    steps = [
        *(_process_step(platform, process) for process in platform.processes.values()),
        *_tasks(platform, names),
    ]
    chosen = [step for step in steps if step.name in names | {ENDPOINTS}]
    report = Report(total=len(chosen), doing="starting")
    with report.live():
        schedule.run([step.job(report) for step in chosen])
    report.closing("everything is up")


def _process_step(platform: Platform, process: Process) -> Step:
    prepare = _preparation(platform.installation).get(process.name)

    def action(cancelled: threading.Event) -> None:
        if prepare and process.name not in platform.supervisord.active():
            prepare()
        platform.supervisord.start(process.name)
        _await_ready(platform.supervisord, process, cancelled)

    return Step(process.name, process.needs, "ready", endpoints.line(process), action)


def _preparation(installation: Installation) -> Mapping[str, Callable[[], None]]:
    parts = installation.parts
    return {
        "postgres": parts.postgres().prepare,
        "valkey": parts.valkey().prepare,
        "s3": parts.s3().prepare,
        "mlflow": parts.mlflow().prepare,
        "triton": parts.triton().prepare,
    }


def _tasks(platform: Platform, names: frozenset[str]) -> list[Step]:
    """The database's roles, its schema with the first accounts, and the file of addresses."""
    database = Database(platform.installation)
    path = platform.installation.home / endpoints.FILE
    after = TASKS.keys() & names

    def write(_cancelled: threading.Event) -> None:
        endpoints.write(platform.installation)

    return [
        Step(ROLES, TASKS[ROLES], "ready", "", lambda _: database.bootstrap()),
        Step(MIGRATIONS, TASKS[MIGRATIONS], "applied", "", lambda _: database.migrate()),
        Step(ENDPOINTS, frozenset(after), "written", str(path), write),
    ]


def _await_ready(supervisord: Supervisord, process: Process, cancelled: threading.Event) -> None:
    first = supervisord.state(process.name)["pid"]
    deadline = time.monotonic() + process.ready_seconds
    pause = POLL_S
    while not cancelled.wait(pause):
        # Looking costs time that a loaded machine would rather spend on starting.
        pause = min(pause * 1.2, POLL_MAX_S)
        state = supervisord.state(process.name)
        first = first or state["pid"]
        if state["statename"] in BROKEN or state["pid"] != first:
            raise StartFailed(_complaint(supervisord, process, "ended while starting"))
        reason = _unready(process, state["statename"])
        if not reason:
            return
        if time.monotonic() > deadline:
            raise StartFailed(_complaint(supervisord, process, f"is not ready: {reason}"))


def _unready(process: Process, state: str) -> str:
    """Why it is not ready, or nothing. `RUNNING` means that it survived its first seconds."""
    if process.probe is alive and state != "RUNNING":
        return "it has only just started"
    try:
        process.probe()
    except NotReady as reason:
        return str(reason)
    return ""


def _complaint(supervisord: Supervisord, process: Process, what: str) -> str:
    log = supervisord.log(process.name)
    return f"{process.name} {what}; the end of {log}:\n{tail(log)}"


def _stop(platform: Platform) -> None:
    """Whatever needs something stops before it."""
    running = platform.supervisord.active()
    needs = {name: process.needs for name, process in platform.processes.items()}
    order = schedule.reverse({**TASKS, **needs})
    report = Report(total=len(running), doing="stopping")
    steps = [_stop_step(platform, name, order[name]) for name in order]
    with report.live():
        schedule.run(
            [
                step.job(report) if step.name in running else Job(step.name, step.needs, _nothing)
                for step in steps
            ]
        )
    platform.supervisord.shutdown()
    report.closing("everything is down")


def _stop_step(platform: Platform, name: str, after: frozenset[str]) -> Step:
    def action(_cancelled: threading.Event) -> None:
        platform.supervisord.stop(name)
        if name in platform.processes:
            platform.processes[name].clear_away()

    return Step(name, after, "stopped", "", action)


def _nothing(_cancelled: threading.Event) -> None:
    """A step that was not running keeps its place in the order."""
