"""The write-ahead log between a gateway and its recorder: segments of framed facts on local disk.

`spool/<boot>/<seq>.open` is being written, `<seq>.seg` is sealed. A boot holds a lock on
`spool/<boot>/lock` while it lives, so that a recorder can tell a crashed gateway's last segment
from one still being written. Frame: payload length, CRC-32, kind, payload; a torn tail is a frame
that does not check, and everything before it counts.
"""

import contextlib
import fcntl
import math
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Literal

import msgspec

from contracts.outcomes import Outcome
from contracts.records import ErrorKind, Failure

FRAME = struct.Struct("<IIB")
ROWS = struct.Struct("<HdHHH")
ROW = struct.Struct("<16sffhBB")
NO_SCORE = math.nan
LOCK = "lock"
OPEN, SEALED = ".open", ".seg"

STATUSES: tuple[Literal["ok"] | ErrorKind, ...] = (
    "ok",
    "model",
    "timeout",
    "invalid_output",
    "unavailable",
    "overload",
    "internal",
)
STATUS_CODES = {name: code for code, name in enumerate(STATUSES)}
UNANSWERED: tuple[ErrorKind, ...] = ("unavailable", "overload")  # what 503 says
PINNED, CACHE_HIT, FALLBACK, ANONYMOUS = 1, 2, 4, 8
# What a fallback was; with neither bit a stale entry. A failed row with both was refused for want
# of room (429); without, it was answered by what its status says.
BY_VARIANT, BY_DEFAULT = 16, 32
INSTEAD = BY_VARIANT | BY_DEFAULT
LOOKUP_MISSED, LOOKUP_UNREAD = 64, 128


class Kind(IntEnum):
    """What a frame holds: MessagePack of the named struct, except ROWS (fixed-size rows)."""

    HEADER = 1
    CONTEXT = 2
    ROWS = 3
    SAMPLE = 4
    FAILURE = 5
    OUTCOMES = 6
    REJECTION = 7
    DROPPED = 8
    COMPARED = 9
    UNMIRRORED = 10


class Header(msgspec.Struct, frozen=True, array_like=True):
    """The first frame of a segment."""

    gateway: str
    boot: str
    seq: int
    opened_at: float


class Context(msgspec.Struct, frozen=True, array_like=True):
    """What rows of this segment refer to by number."""

    number: int
    endpoint: str
    version: str
    variant: str
    phase: int
    rollout: str
    experiment: str
    sample_rate: float
    scored: bool


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One sampled prediction, without what its context says."""

    context: int
    at: float
    prediction_id: str
    generation: int
    client: str
    unit: bytes
    bucket: int
    features: dict[str, float | int | bool | str | None]
    prediction: float | None
    label: str
    confidence: float | None
    latency_ms: float
    status: int
    flags: int
    fallback: str = ""
    route: str = ""
    asked: str = ""
    shadow_of: str = ""
    trace: str = ""


class Compared(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row that a shadow was asked too. `served` and `shadow` are numbers of contexts.

    `status` is "ok" or what became of the shadow. `agrees` is None where there are no labels;
    times are of the calls, in ms, None where no model was called.
    """

    served: int
    shadow: int
    status: str
    segments: tuple[str, ...] = ()
    agrees: bool | None = None
    served_score: float = 0.0
    shadow_score: float = 0.0
    served_ms: float | None = None
    shadow_ms: float | None = None


class Comparisons(msgspec.Struct, frozen=True, array_like=True):
    """Rows compared together at `at` (epoch s)."""

    at: float
    rows: tuple[Compared, ...]


class Unmirrored(msgspec.Struct, frozen=True, array_like=True):
    """`count` rows that a shadow had no room for, up to `at` (epoch s)."""

    at: float
    served: int
    shadow: int
    count: int


class Rejection(msgspec.Struct, frozen=True, array_like=True):
    """One request refused before assignment; `faults` are (reason, feature, how often)."""

    at: float
    endpoint: str
    reason: str
    feature: str
    faults: tuple[tuple[str, str, int], ...] = ()


_encode = msgspec.msgpack.Encoder().encode


def frame(kind: Kind, payload: bytes) -> bytes:
    """A payload as it lies on disk."""
    return FRAME.pack(len(payload), zlib.crc32(payload), kind) + payload


def rows_frame(
    context: int, at: float, rows: Sequence[bytes], *, calls: int, rows_sent: int
) -> bytes:
    """Rows (each packed by ROW) that were answered together at `at` (epoch s)."""
    head = ROWS.pack(context, at, calls, rows_sent, len(rows))
    return frame(Kind.ROWS, head + b"".join(rows))


def frames(data: bytes) -> Iterator[tuple[Kind, bytes]]:
    """The intact frames from the start; ends silently at a torn one."""
    at = 0
    while at + FRAME.size <= len(data):
        length, checksum, kind = FRAME.unpack_from(data, at)
        payload = data[at + FRAME.size : at + FRAME.size + length]
        if len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield Kind(kind), payload
        at += FRAME.size + length


class SpoolWriter:
    """Appends facts for one boot. Never raises for a disk that is full or broken: it counts.

    `seq` starts at 1 and has no gaps. Writes happen on the caller's thread, into the page cache;
    `fsync` "seal" and "always" pay for power loss as well.
    """

    def __init__(
        self,
        root: Path,
        *,
        gateway: str,
        boot: str,
        segment_bytes: int = 4_194_304,
        fsync: str = "none",
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._sync = sync
        self._gateway, self._boot = gateway, boot
        self._segment_bytes, self._fsync = segment_bytes, fsync
        self._directory, self._lock = _claim(root, boot)
        self._seq = 0
        self._file = -1
        self._size = 0
        self._contexts: dict[int, int] = {}
        self._unreported = 0
        self.full = False
        self.dropped = 0

    def append(self, build: "Callable[[SpoolWriter], Sequence[bytes]]", *, rows: int) -> bool:
        """Write the frames that `build` makes, with one system call.

        `build` may ask `context` for numbers. False when they were dropped and counted.
        """
        if self.full:
            return self._drop(rows)
        try:
            if self._file < 0:
                self._open()
            self._fresh: list[bytes] = []
            made = build(self)
            self._write(b"".join([*self._dropped_frames(), *self._fresh, *made]))
        except OSError:
            return self._drop(rows)
        self._unreported = 0
        if self._size >= self._segment_bytes:
            self.seal()
        return True

    def context(self, key: int, make: "Callable[[int], Context]") -> int:
        """The number of a context in this segment; `make` describes it on first use."""
        number = self._contexts.get(key)
        if number is None:
            number = self._contexts[key] = len(self._contexts)
            self._fresh.append(frame(Kind.CONTEXT, _encode(make(number))))
        return number

    def seal(self) -> None:
        """Hand the open segment to the recorder, if there is anything in it.

        A disk that refuses keeps it open: the next call tries again.
        """
        if self._file < 0:
            return
        try:
            if self._fsync != "none":
                self._sync(self._file)
            self._path(OPEN).rename(self._path(SEALED))
        except OSError:
            return
        os.close(self._file)
        self._file = -1

    def close(self) -> None:
        """Seal and give up the lock."""
        self.seal()
        os.close(self._lock)

    def _path(self, suffix: str) -> Path:
        return self._directory / f"{self._seq:012d}{suffix}"

    def _open(self) -> None:
        path = self._directory / f"{self._seq + 1:012d}{OPEN}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._size = 0
        self._contexts = {}
        header = Header(self._gateway, self._boot, self._seq + 1, time.time())
        try:
            self._write(frame(Kind.HEADER, _encode(header)))
        except OSError:
            os.close(self._file)
            self._file = -1
            path.unlink()
            raise
        self._seq += 1

    def _write(self, data: bytes) -> None:
        """All of it or nothing: a partial write is taken back."""
        try:
            if os.write(self._file, data) != len(data):
                raise OSError("short write")
            if self._fsync == "always":
                self._sync(self._file)
        except OSError:
            self._contexts = {}
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(data)

    def _drop(self, rows: int) -> bool:
        self.dropped += rows
        self._unreported += rows
        return False

    def _dropped_frames(self) -> Sequence[bytes]:
        if not self._unreported:
            return ()
        return (frame(Kind.DROPPED, _encode(self._unreported)),)


def _claim(root: Path, boot: str) -> tuple[Path, int]:
    """Make the boot's directory appear already locked."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    hidden = root / f".{boot}"
    hidden.mkdir(mode=0o700)
    lock = os.open(hidden / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return hidden.rename(root / boot), lock


def is_alive(directory: Path) -> bool:
    """Whether the gateway of this boot still holds its lock."""
    with contextlib.ExitStack() as stack:
        try:
            file = os.open(directory / LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        stack.callback(os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def size_of(root: Path) -> int:
    """Bytes in all segments under `root`."""
    total = 0
    for directory in os.scandir(root):
        with contextlib.suppress(FileNotFoundError):  # the recorder deletes as we look
            total += sum(each.stat().st_size for each in os.scandir(directory))
    return total


def rejection_frame(rejection: Rejection) -> bytes:
    """A refused request."""
    return frame(Kind.REJECTION, _encode(rejection))


def failure_frame(failure: Failure) -> bytes:
    """A unit's first failure in a rollout."""
    return frame(Kind.FAILURE, _encode(failure))


def outcomes_frame(outcomes: Sequence[Outcome]) -> bytes:
    """Outcomes as an application sent them."""
    return frame(Kind.OUTCOMES, _encode(outcomes))


def sample_frame(sample: Sample) -> bytes:
    """One sampled prediction."""
    return frame(Kind.SAMPLE, _encode(sample))


def compared_frame(at: float, rows: Sequence[Compared]) -> bytes:
    """What a shadow said beside what was served, for rows settled at `at` (epoch s)."""
    return frame(Kind.COMPARED, _encode(Comparisons(at, tuple(rows))))


def unmirrored_frame(unmirrored: Unmirrored) -> bytes:
    """Rows that a shadow had no room for."""
    return frame(Kind.UNMIRRORED, _encode(unmirrored))
