"""Which segments are ready to be shipped, and what is in them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from contracts.outcomes import Outcome
from contracts.records import Failure
from dataplane import spool
from dataplane.spool import Comparisons, Context, Kind, Rejection, Sample, Unmirrored


@dataclass(frozen=True, order=True)
class Segment:
    """One finished segment; boots sort in the order in which they started."""

    boot: str
    seq: int
    path: Path


@dataclass
class RowBlock:
    """Rows answered together: `data` holds spool.ROW records."""

    at: float
    calls: int
    rows_sent: int
    data: bytes


@dataclass
class Contents:
    """Everything that one segment says. Rows are listed by the number of their context."""

    contexts: dict[int, Context] = field(default_factory=dict)
    rows: dict[int, list[RowBlock]] = field(default_factory=dict)
    samples: list[tuple[Context, Sample]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    comparisons: list[Comparisons] = field(default_factory=list)
    unmirrored: list[Unmirrored] = field(default_factory=list)
    dropped: int = 0
    opened_at: float = 0.0


def finished(root: Path) -> list[Segment]:
    """All segments that nobody writes any more, in the order in which they must be shipped."""
    found: list[Segment] = []
    for directory in root.glob("[!.]*"):
        suffixes = [spool.SEALED]
        if not spool.is_alive(directory):
            suffixes.append(spool.OPEN)
        found += [_segment(path) for suffix in suffixes for path in directory.glob(f"*{suffix}")]
    return sorted(found)


def sweep(root: Path) -> None:
    """Remove the directories of boots that are over and shipped."""
    for directory in root.glob("[!.]*"):
        left = [path for path in directory.iterdir() if path.name != spool.LOCK]
        if not left and not spool.is_alive(directory):
            (directory / spool.LOCK).unlink(missing_ok=True)
            directory.rmdir()


def read(path: Path) -> Contents:
    """What a segment says, up to a torn tail. Raises OSError."""
    contents = Contents()
    for kind, payload in spool.frames(path.read_bytes()):
        _READERS[kind](contents, payload)
    return contents


def _segment(path: Path) -> Segment:
    return Segment(path.parent.name, int(path.stem), path)


def _header(contents: Contents, payload: bytes) -> None:
    contents.opened_at = msgspec.msgpack.decode(payload, type=spool.Header).opened_at


def _context(contents: Contents, payload: bytes) -> None:
    context = msgspec.msgpack.decode(payload, type=Context)
    contents.contexts[context.number] = context
    contents.rows.setdefault(context.number, [])


def _rows(contents: Contents, payload: bytes) -> None:
    number, at, calls, rows_sent, _ = spool.ROWS.unpack_from(payload)
    block = RowBlock(at, calls, rows_sent, payload[spool.ROWS.size :])
    contents.rows[number].append(block)


def _sample(contents: Contents, payload: bytes) -> None:
    sample = msgspec.msgpack.decode(payload, type=Sample)
    contents.samples.append((contents.contexts[sample.context], sample))


def _failure(contents: Contents, payload: bytes) -> None:
    contents.failures.append(msgspec.msgpack.decode(payload, type=Failure))


def _outcomes(contents: Contents, payload: bytes) -> None:
    contents.outcomes += msgspec.msgpack.decode(payload, type=list[Outcome])


def _rejection(contents: Contents, payload: bytes) -> None:
    contents.rejections.append(msgspec.msgpack.decode(payload, type=Rejection))


def _compared(contents: Contents, payload: bytes) -> None:
    contents.comparisons.append(msgspec.msgpack.decode(payload, type=Comparisons))


def _unmirrored(contents: Contents, payload: bytes) -> None:
    contents.unmirrored.append(msgspec.msgpack.decode(payload, type=Unmirrored))


def _dropped(contents: Contents, payload: bytes) -> None:
    contents.dropped += msgspec.msgpack.decode(payload, type=int)


_READERS = {
    Kind.HEADER: _header,
    Kind.CONTEXT: _context,
    Kind.ROWS: _rows,
    Kind.SAMPLE: _sample,
    Kind.FAILURE: _failure,
    Kind.OUTCOMES: _outcomes,
    Kind.REJECTION: _rejection,
    Kind.DROPPED: _dropped,
    Kind.COMPARED: _compared,
    Kind.UNMIRRORED: _unmirrored,
}


def blocks(contents: Contents) -> Iterator[tuple[Context, RowBlock]]:
    """All row blocks with their contexts."""
    for number, found in contents.rows.items():
        for block in found:
            yield contents.contexts[number], block
