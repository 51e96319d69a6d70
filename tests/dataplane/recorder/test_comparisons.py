"""A shadow's rows in a segment, added up by second and segment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.records import Comparison
from dataplane import spool
from dataplane.recorder import segments
from dataplane.recorder.aggregate import SeenUnits, batch_of
from dataplane.recorder.segments import Segment
from dataplane.spool import Compared, Context, SpoolWriter, Unmirrored
from serving.sketches import bin_of

SERVED = Context(0, "flights", "flights/1", "stable", 3, "", "", 1.0, True)
SHADOW = msgspec.structs.replace(SERVED, version="flights/2", variant="shadow")


def row(**changes: Any) -> Compared:
    """The shadow's score is 0.1 higher, its call took 2 ms longer, both say the same label."""
    values: dict[str, Any] = {
        "served": 0,
        "shadow": 1,
        "status": "ok",
        "agrees": True,
        "served_score": 0.5,
        "shadow_score": 0.625,
        "served_ms": 3.0,
        "shadow_ms": 5.0,
    }
    return Compared(**{**values, **changes})


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(*frames: bytes) -> dict[tuple[int, str], Comparison]:
        def build(writer: SpoolWriter) -> Sequence[bytes]:
            writer.context(1, lambda number: SERVED)
            writer.context(2, lambda number: msgspec.structs.replace(SHADOW, number=number))
            return frames

        out = SpoolWriter(tmp_path, gateway="gateway-1", boot="boot-1")
        out.append(build, rows=1)
        out.close()
        path = tmp_path / "boot-1" / "000000000001.seg"
        batch = batch_of(
            Segment("boot-1", 1, path),
            segments.read(path),
            gateway="gateway-1",
            sealed_at=1.0,
            seen=SeenUnits(),
        )
        assert not batch.counters
        assert not batch.exposures
        return {(each.second, each.segment): each for each in batch.comparisons}

    return write


def test_comparisons__rows_of_both__are_summed_by_second(written: Any) -> None:
    found = written(
        spool.compared_frame(100.5, [row(), row(agrees=False, shadow_score=0.25)]),
        spool.compared_frame(101.0, [row()]),
    )
    assert set(found) == {(100, ""), (101, "")}
    first = found[100, ""]
    assert (first.endpoint, first.baseline, first.shadow) == ("flights", "flights/1", "flights/2")
    assert (first.rows, first.labelled, first.agreements, first.timed) == (2, 2, 1, 2)
    assert (first.shift_sum, first.shift_squares) == (0.125 - 0.25, 0.125**2 + 0.25**2)
    assert first.shifts == {bin_of(0.125): 1, bin_of(0.25): 1}
    assert (first.delay_sum_ms, first.delay_squares) == (4.0, 8.0)
    assert first.baseline_latency == {bin_of(3.0): 2}
    assert first.shadow_latency == {bin_of(5.0): 2}


def test_comparisons__segments__each_split_all_rows(written: Any) -> None:
    rows = [
        row(segments=("carrier=AA", "hour=7")),
        row(segments=("carrier=AA", "hour=8")),
        row(segments=("carrier=UA", "hour=8"), agrees=False),
    ]
    found = written(spool.compared_frame(100.0, rows))
    assert {segment: each.rows for (_, segment), each in found.items()} == {
        "": 3,
        "carrier=AA": 2,
        "carrier=UA": 1,
        "hour=7": 1,
        "hour=8": 2,
    }
    assert found[100, "carrier=UA"].agreements == 0


def test_comparisons__shadow_failed_or_had_no_room__is_counted_apart(written: Any) -> None:
    found = written(
        spool.compared_frame(100.0, [row(), row(status="timeout", agrees=None)]),
        spool.unmirrored_frame(Unmirrored(100.0, 0, 1, 7)),
    )
    only = found[100, ""]
    assert (only.rows, only.errors, only.dropped) == (1, {"timeout": 1}, 7)


def test_comparisons__regression_from_the_cache__has_neither_label_nor_time(written: Any) -> None:
    huge = row(agrees=None, served_ms=None, served_score=-1e300, shadow_score=1e300)
    only = written(spool.compared_frame(100.0, [huge]))[100, ""]
    assert (only.rows, only.labelled, only.timed) == (1, 0, 0)
    assert only.shift_squares == 1e200
