"""Running a script on foreign files, shut in by `cage.py`. Nothing foreign runs in this process.

The script sees an empty environment, its own libraries, and one folder with its input; it has no
network, starts no process, and ends when its time, memory or disk is used up. It answers by a file
that was opened for it: nothing it names or links is followed from here.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from apps.registry.errors import SandboxUnavailable

HERE = Path(__file__).parent
CAGE = HERE / "cage.py"
REFUSED = 97
MB, GB = 1024**2, 1024**3
# User ids that distributions leave free; one is drawn for each run.
FIRST_UID, UIDS = 60_706, 477
MAX_SAID = 16 * 1024
MAX_FILES = 200
LOOK_EVERY_S = 0.05
WORK = "work"
# What libraries read of the machine: loader, C library, time zones, processors.
SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)
# One thread: what is measured and what is limited does not depend on the machine's cores.
THREADS = 32
ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Limits:
    """What one run may use; bytes and seconds. `disk_bytes` is of its work folder together."""

    memory_bytes: int = 4 * GB
    cpu_s: int = 90
    wall_s: float = 120.0
    disk_bytes: int = 64 * MB
    open_files: int = 128


@dataclass(frozen=True)
class Means:
    """Which means may be used; tests take some away. What is not to be had is not used anyway."""

    second_user: bool = True
    landlock: bool = True
    seccomp: bool = True
    namespaces: bool = True


@dataclass(frozen=True)
class Ran:
    """How a run ended. `answer` is None unless it ended well; then `said` is why it did not.

    `means` tells what kept it apart: second_user, landlock, seccomp, network_namespace, own_root.
    """

    answer: Any
    said: str = ""
    means: Mapping[str, Any] = field(default_factory=dict)


def run(
    script: Path,
    order: Mapping[str, Any],
    *,
    place: Path,
    python: str = sys.executable,
    limits: Limits = Limits(),  # frozen
    means: Means = Means(),  # frozen
) -> Ran:
    """What `main(order)` of `script` answers, run by `python` in its environment.

    `place` is a folder of the caller's own, with all that the script may read; `place/work`, made
    here, is all that it may write. Raises SandboxUnavailable where too little is to be had.
    """
    work = place / WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    uid = FIRST_UID + secrets.randbelow(UIDS) if means.second_user and os.geteuid() == 0 else 0
    _hand_over(place, uid)
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryDirectory() as root:
        spec = _spec(script, place, python, limits, means)
        spec |= {"uid": uid, "root": root, "answer": answer.fileno()}
        said, code = _watch(_start(python, json.dumps(spec), order, place, answer), work, limits)
        if code == REFUSED:
            raise SandboxUnavailable(f"no foreign model is opened on this machine, {said}")
        if code != 0:
            return Ran(None, said or f"the process ended with {code}")
        return _read(answer, limits)


def environment_of(name: str) -> str:
    """The Python of one of the environments beside the checkout's own."""
    checkout = HERE.parents[2]
    base = Path(os.environ.get("SWITCHYARD_ENVIRONMENTS") or checkout / ".venvs")
    python = base / name / "bin" / "python"
    if not python.exists():
        raise SandboxUnavailable(f"the environment {name!r} is not installed: make install")
    return str(python)


def _spec(script: Path, place: Path, python: str, limits: Limits, means: Means) -> dict[str, Any]:
    home = str(place / WORK)
    return {
        "script": str(script),
        "reachable": _reachable(script, place, python),
        "landlock": means.landlock,
        "seccomp": means.seccomp,
        "namespaces": means.namespaces,
        "threads": THREADS,
        "limits": {
            "AS": limits.memory_bytes,
            "CPU": limits.cpu_s,
            "FSIZE": limits.disk_bytes,
            "NOFILE": limits.open_files,
        },
        "readable": [
            *SYSTEM,
            *map(str, _libraries(python)),
            str(HERE),
            str(script),
            str(place),
        ],
        "writable": [home],
        "environment": {**ENVIRONMENT, "HOME": home, "TMPDIR": home, "MPLCONFIGDIR": home},
    }


def _libraries(python: str) -> Iterator[Path]:
    """The environment of a Python, and the installation that it was made from."""
    environment = Path(python).parent.parent
    yield environment
    settings = environment / "pyvenv.cfg"
    for line in settings.read_text().splitlines() if settings.exists() else ():
        name, _, value = line.partition("=")
        if name.strip() == "home":
            yield Path(value.strip()).resolve().parent / "lib"
            yield Path(value.strip()).resolve().parent / "share"


def _reachable(script: Path, place: Path, python: str) -> bool:
    """Whether any user could read what is needed: often it lies below somebody's home."""
    needed = (*_libraries(python), script, place.parent)
    return all(_open_to_all(path) for path in needed if path.exists())


def _open_to_all(path: Path) -> bool:
    bit = 0o001 if path.is_dir() else 0o004
    ways = path.resolve().parents
    return bool(path.stat().st_mode & bit) and all(way.stat().st_mode & 0o001 for way in ways)


def _hand_over(place: Path, uid: int) -> None:
    """Let the second user, and no other, read the folder and write into its work folder."""
    if not uid:
        return
    os.chown(place, 0, uid)
    place.chmod(0o750)
    for path in place.iterdir():
        if path.is_file() and not path.is_symlink():
            os.chown(path, 0, uid)
            path.chmod(0o640)
    os.chown(place / WORK, uid, uid)
    (place / WORK).chmod(0o700)


def _start(
    python: str, spec: str, order: Mapping[str, Any], place: Path, answer: IO[bytes]
) -> "subprocess.Popen[bytes]":
    with tempfile.TemporaryFile() as given:
        given.write(json.dumps(order).encode())
        given.seek(0)
        return subprocess.Popen(  # noqa: S603  # a fixed command; the order goes by standard input
            [python, "-I", "-B", str(CAGE), spec],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(answer.fileno(),),
            env={},
            cwd=place,
            start_new_session=True,
        )


def _watch(process: "subprocess.Popen[bytes]", work: Path, limits: Limits) -> tuple[str, int]:
    """The last words of the process, and its exit code; it is killed for what it must not use."""
    heard = bytearray()
    listener = threading.Thread(target=_listen, args=(process.stdout, heard), daemon=True)
    listener.start()
    stop, why = time.monotonic() + limits.wall_s, ""
    try:
        while not why:
            try:
                process.wait(LOOK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                why = _excess(work, limits, time.monotonic() > stop)
    finally:
        process.kill()
        code = process.wait()
        listener.join()
        if process.stdout is not None:
            process.stdout.close()
    return why or _explained(bytes(heard), code), code


def _excess(work: Path, limits: Limits, late: bool) -> str:
    if late:
        return f"it took longer than {limits.wall_s:.0f} s"
    sizes = [_size(path) for path in _below(work)]
    if sum(sizes) > limits.disk_bytes or len(sizes) > MAX_FILES:
        return f"it wrote more than {limits.disk_bytes:,} bytes or {MAX_FILES} files"
    return ""


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:  # the process removed it meanwhile
        return 0


def _below(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:  # it may be gone meanwhile
        for entry in entries:
            yield Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))


def _listen(stream: IO[bytes] | None, heard: bytearray) -> None:
    """Keep the end of what it says, whatever the amount."""
    if stream is None:
        return
    while chunk := stream.read1(MAX_SAID):  # type: ignore[attr-defined]  # a BufferedReader
        heard += chunk
        del heard[:-MAX_SAID]


def _explained(heard: bytes, code: int) -> str:
    lines = heard.decode(errors="replace").strip().splitlines()
    last = "".join(c for c in (lines[-1] if lines else "") if c.isprintable())[:500]
    if code == -9:
        return "it was killed: out of memory, or its processor time was used up"
    if code < 0:
        return f"it crashed with signal {-code}" + (f": {last}" if last else "")
    return last


def _read(answer: IO[bytes], limits: Limits) -> Ran:
    answer.seek(0)
    data = answer.read(limits.disk_bytes + 1)
    try:
        found = json.loads(data)
        return Ran(found["answer"], means=dict(found["means"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Ran(None, "its answer makes no sense")
