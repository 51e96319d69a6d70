"""From segments on disk to batches in Redis, each fact once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from contracts.records import ACKED_KEY, ENVELOPE_FIELD, STREAMS_KEY, Batch, decode_batch
from dataplane import spool
from dataplane.recorder import segments
from dataplane.recorder.binning import latency_bins
from dataplane.recorder.ship import Shipper
from dataplane.spool import Context, Sample, SpoolWriter
from serving.sketches import bin_of

CONTEXT = Context(
    number=0,
    endpoint="rig",
    version="rig/1",
    variant="stable",
    phase=3,
    rollout="r1",
    experiment="",
    sample_rate=1.0,
    scored=True,
)
STREAM = "switchyard:facts:gateway-1"


def unit(number: int) -> bytes:
    return number.to_bytes(16, "big")


def row(
    number: int, *, latency_ms: float = 2.0, score: float = 0.7, status: str = "ok", flags: int = 0
) -> bytes:
    index = 1 if score >= 0.5 else 0
    code = list[str](spool.STATUSES).index(status)
    return spool.ROW.pack(unit(number), latency_ms, score, index, code, flags)


def write(out: SpoolWriter, *rows: bytes, at: float = 100.5, calls: int = 1) -> None:
    def build(writer: SpoolWriter) -> list[bytes]:
        number = writer.context(1, lambda number: CONTEXT)
        return [spool.rows_frame(number, at, rows, calls=calls, rows_sent=len(rows))]

    out.append(build, rows=len(rows))


@pytest.fixture
def out(tmp_path: Path) -> Any:
    writer = SpoolWriter(tmp_path, gateway="gateway-1", boot="boot-1")
    yield writer
    writer.close()


@pytest.fixture
def shipper(tmp_path: Path, valkey: "redis.Redis") -> Shipper:
    return Shipper(tmp_path, "gateway-1", valkey)


def shipped(client: "redis.Redis") -> list[Batch]:
    entries: Any = client.xrange(STREAM)
    return [decode_batch(fields[ENVELOPE_FIELD.encode()]) for _, fields in entries]


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1))
def test_latency_bins__any_values__equal_the_sketch(values: list[float]) -> None:
    assert latency_bins(np.array(values)).tolist() == [bin_of(value) for value in values]


def test_batch__rows_of_two_seconds__are_counted_by_second(
    out: SpoolWriter, shipper: Shipper, valkey: "redis.Redis"
) -> None:
    write(out, row(1), row(2, score=0.2), row(3, status="model", flags=spool.PINNED))
    write(out, row(1, latency_ms=4.0), at=101.2)
    out.seal()
    shipper.turn()
    (batch,) = shipped(valkey)
    first, second = batch.counters
    assert (first.second, first.requests, first.errors) == (100, 3, {"model": 1})
    assert (first.pinned, first.positives, first.batches, first.batch_rows) == (1, 1, 1, 3)
    assert first.latency == {bin_of(2.0): 2}
    assert first.predictions == {4: 1, 13: 1} or first.predictions == {4: 1, 14: 1}
    assert (second.second, second.requests, second.latency) == (101, 1, {bin_of(4.0): 1})


def test_fallbacks__each_kind_and_the_end_of_the_chain__are_counted_apart(
    out: SpoolWriter, shipper: Shipper, valkey: "redis.Redis"
) -> None:
    instead = spool.FALLBACK
    rows = [
        row(1, flags=instead),
        row(2, flags=instead | spool.BY_VARIANT),
        row(3, flags=instead | spool.BY_VARIANT | spool.LOOKUP_MISSED),
        row(4, flags=instead | spool.BY_DEFAULT),
        row(5, status="unavailable"),
        row(6, status="overload"),
        row(7, status="overload", flags=spool.INSTEAD),  # 429
        row(8, status="timeout"),
        row(9),
    ]
    write(out, *rows)
    out.seal()
    shipper.turn()
    (counter,) = shipped(valkey)[0].counters
    assert counter.fallback_kinds == {"stale": 1, "variant": 2, "default": 1, "503": 2}
    assert (counter.requests, counter.fallbacks, sum(counter.errors.values())) == (9, 4, 4)


def test_exposures__unit_seen_again_pinned_or_anonymous__is_no_new_exposure(
    out: SpoolWriter, shipper: Shipper, valkey: "redis.Redis"
) -> None:
    write(out, row(1), row(1), row(2, flags=spool.PINNED), row(3, flags=spool.ANONYMOUS))
    out.seal()
    write(out, row(1), row(4))
    out.seal()
    shipper.turn()
    exposures = [[each.unit for each in batch.exposures] for batch in shipped(valkey)]
    assert exposures == [[unit(1).hex()], [unit(4).hex()]]


def test_records__sampled_row__carries_what_its_context_says(
    out: SpoolWriter, shipper: Shipper, valkey: "redis.Redis"
) -> None:
    write(out, row(1))
    sample = Sample(
        context=0,
        at=100.5,
        prediction_id="p1",
        generation=7,
        client="app",
        unit=unit(1),
        bucket=42,
        features={"x": 1.0},
        prediction=0.7,
        label="late",
        confidence=0.7,
        latency_ms=2.0,
        status=0,
        flags=0,
    )
    out.append(lambda _: [spool.sample_frame(sample)], rows=1)
    out.seal()
    shipper.turn()
    (record,) = shipped(valkey)[0].records
    assert (record.prediction_id, record.version, record.phase) == ("p1", "rig/1", 3)
    assert (record.status, record.generation, record.features) == ("ok", 7, {"x": 1.0})


def test_shipper__until_committed__keeps_the_segment_and_ships_it_once(
    out: SpoolWriter, shipper: Shipper, valkey: "redis.Redis", tmp_path: Path
) -> None:
    write(out, row(1))
    out.seal()
    assert shipper.turn() == 1
    assert shipper.turn() == 0
    assert valkey.smembers(STREAMS_KEY) == {STREAM.encode()}
    assert len(list(tmp_path.glob("*/*.seg"))) == 1
    valkey.hset(ACKED_KEY, "gateway-1:boot-1", 1)
    shipper.turn()
    assert not list(tmp_path.glob("*/*.seg"))


def test_shipper__entry_lost_in_redis__ships_the_same_facts_again(
    out: SpoolWriter, tmp_path: Path, valkey: "redis.Redis"
) -> None:
    now = [0.0]
    shipper = Shipper(tmp_path, "gateway-1", valkey, reship_s=5.0, clock=lambda: now[0])
    write(out, row(1), row(2))
    out.seal()
    shipper.turn()
    before = shipped(valkey)
    valkey.flushall()
    assert shipper.turn() == 0
    now[0] = 6.0
    assert shipper.turn() == 1
    assert shipped(valkey) == before


def test_shipper__ingest_is_slow__does_not_pile_up_copies(
    out: SpoolWriter, tmp_path: Path, valkey: "redis.Redis"
) -> None:
    now = [0.0]
    shipper = Shipper(tmp_path, "gateway-1", valkey, reship_s=5.0, clock=lambda: now[0])
    write(out, row(1))
    out.seal()
    for moment in (0.0, 6.0, 12.0, 60.0):
        now[0] = moment
        shipper.turn()
    assert valkey.xlen(STREAM) == 1


def test_shipper__window_full__leaves_the_rest_on_disk(
    out: SpoolWriter, tmp_path: Path, valkey: "redis.Redis"
) -> None:
    for number in range(5):
        write(out, row(number))
        out.seal()
    assert Shipper(tmp_path, "gateway-1", valkey, window=2).turn() == 2
    assert [batch.seq for batch in shipped(valkey)] == [1, 2]


def test_finished__live_boot__leaves_its_open_segment_alone(
    out: SpoolWriter, tmp_path: Path
) -> None:
    write(out, row(1))
    assert segments.finished(tmp_path) == []


@pytest.mark.parametrize("harm", [lambda data: data[:-5], lambda data: data + b"\x00" * 7])
def test_crashed_boot__torn_tail__ships_what_is_whole(
    tmp_path: Path, valkey: "redis.Redis", harm: Callable[[bytes], bytes]
) -> None:
    out = SpoolWriter(tmp_path, gateway="gateway-1", boot="boot-0")
    write(out, row(1), row(2))
    write(out, row(3))
    path = next(tmp_path.glob("*/*.open"))
    torn = harm(path.read_bytes())
    out.close()
    (tmp_path / "boot-0" / "000000000001.seg").unlink()
    path.write_bytes(torn)
    Shipper(tmp_path, "gateway-1", valkey).turn()
    (batch,) = shipped(valkey)
    assert batch.key == ("gateway-1", "boot-0", 1)
    assert sum(counter.requests for counter in batch.counters) in (2, 3)


def test_crashed_boot__everything_committed__is_swept_away(
    tmp_path: Path, valkey: "redis.Redis"
) -> None:
    out = SpoolWriter(tmp_path, gateway="gateway-1", boot="boot-0")
    write(out, row(1))
    out.close()
    valkey.hset(ACKED_KEY, "gateway-1:boot-0", 1)
    Shipper(tmp_path, "gateway-1", valkey).turn()
    assert list(tmp_path.iterdir()) == []


def test_segment__unreadable__ships_an_empty_batch_so_that_no_number_is_missing(
    out: SpoolWriter, shipper: Shipper, valkey: "redis.Redis"
) -> None:
    out.append(lambda _: [spool.rows_frame(9, 1.0, [row(1)], calls=1, rows_sent=1)], rows=1)
    out.seal()
    shipper.turn()
    (batch,) = shipped(valkey)
    assert (batch.seq, batch.counters) == (1, ())
