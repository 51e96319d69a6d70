"""The write-ahead log: whole frames, torn tails, one boot's lock, and disks that refuse."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane import spool
from dataplane.spool import Kind, Rejection, SpoolWriter


def writer(root: Path, boot: str = "boot-1", **settings: Any) -> SpoolWriter:
    return SpoolWriter(root, gateway="gateway-1", boot=boot, **settings)


def rejection(reason: str = "x") -> bytes:
    return spool.rejection_frame(Rejection(1.0, "rig", reason, ""))


def add(to: SpoolWriter, frame: bytes = b"") -> bool:
    return to.append(lambda _: (frame or rejection(),), rows=1)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """What a full disk does to a writer: writes come back short, then fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def kinds(path: Path) -> list[Kind]:
    return [kind for kind, _ in spool.frames(path.read_bytes())]


@given(st.lists(st.binary(max_size=50), max_size=6), st.integers(min_value=0, max_value=400))
def test_frames__cut_anywhere__give_the_whole_frames_before_the_cut(
    payloads: list[bytes], cut: int
) -> None:
    data = b"".join(spool.frame(Kind.ROWS, payload) for payload in payloads)
    found = [payload for _, payload in spool.frames(data[:cut])]
    assert found == payloads[: len(found)]
    assert sum(len(each) + spool.FRAME.size for each in found) <= cut


def test_frames__a_flipped_bit__ends_them_there() -> None:
    data = bytearray(spool.frame(Kind.ROWS, b"abc") * 2)
    data[-1] ^= 1
    assert len(list(spool.frames(bytes(data)))) == 1


def test_append__first_fact__opens_a_segment_with_its_header(tmp_path: Path) -> None:
    out = writer(tmp_path)
    assert add(out)
    assert kinds(tmp_path / "boot-1" / "000000000001.open") == [Kind.HEADER, Kind.REJECTION]
    out.close()


def test_seal__with_and_without_facts__numbers_segments_without_gaps(tmp_path: Path) -> None:
    out = writer(tmp_path)
    for _ in range(3):
        add(out)
        out.seal()
        out.seal()
    names = sorted(path.name for path in (tmp_path / "boot-1").glob("*.seg"))
    assert names == ["000000000001.seg", "000000000002.seg", "000000000003.seg"]
    out.close()


@pytest.mark.parametrize(("policy", "times"), [("none", 0), ("seal", 1), ("always", 5)])
def test_fsync__each_policy__pays_as_often_as_it_says(
    tmp_path: Path, policy: str, times: int
) -> None:
    synced: list[int] = []
    out = writer(tmp_path, fsync=policy, sync=synced.append)
    for _ in range(3):
        add(out)
    out.seal()
    assert len(synced) == times  # always: the header, three facts, and the seal
    out.close()


def test_append__segment_large_enough__is_sealed(tmp_path: Path) -> None:
    out = writer(tmp_path, segment_bytes=100)
    for _ in range(10):
        add(out)
    assert len(list(tmp_path.glob("*/*.seg"))) > 1
    out.close()


def test_append__disk_full__counts_takes_back_the_torn_frame_and_recovers(tmp_path: Path) -> None:
    out = writer(tmp_path)
    add(out)
    with files_no_larger_than(os.path.getsize(next(tmp_path.glob("*/*.open"))) + 10):
        assert not add(out)
    assert out.dropped == 1
    assert add(out)
    assert kinds(tmp_path / "boot-1" / "000000000001.open") == [
        Kind.HEADER,
        Kind.REJECTION,
        Kind.DROPPED,
        Kind.REJECTION,
    ]
    out.close()


def test_append__no_room_for_a_header__leaves_no_file_and_no_gap(tmp_path: Path) -> None:
    out = writer(tmp_path)
    with files_no_larger_than(10):
        assert not add(out)
        out.seal()
    assert not list(tmp_path.glob("*/*.*"))
    assert add(out)
    assert kinds(tmp_path / "boot-1" / "000000000001.open")[:2] == [Kind.HEADER, Kind.DROPPED]
    out.close()


def test_lock__while_the_boot_lives_and_after__tells_them_apart(tmp_path: Path) -> None:
    out = writer(tmp_path)
    assert spool.is_alive(tmp_path / "boot-1")
    out.close()
    assert not spool.is_alive(tmp_path / "boot-1")
