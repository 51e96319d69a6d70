"""Sampled records as Parquet: pure, one table for one endpoint and day of one batch."""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.records import Batch, Record

PREFIX = "lake/records"
FEATURE = "feature_"
COLUMNS: tuple[tuple[str, str, pa.DataType], ...] = (
    ("prediction_id", "prediction_id", pa.string()),
    ("endpoint", "endpoint", pa.string()),
    ("version", "version", pa.string()),
    ("variant", "variant", pa.string()),
    ("phase", "phase", pa.int32()),
    ("generation", "generation", pa.int64()),
    ("client", "client", pa.string()),
    ("unit", "unit", pa.string()),
    ("bucket", "bucket", pa.int32()),
    ("experiment", "experiment", pa.string()),
    ("rollout", "rollout", pa.string()),
    ("prediction", "prediction", pa.float64()),
    ("label", "label", pa.string()),
    ("confidence", "confidence", pa.float64()),
    ("latency_ms", "latency_ms", pa.float64()),
    ("status", "status", pa.string()),
    ("cache_hit", "cache_hit", pa.bool_()),
    ("fallback", "fallback", pa.string()),
    ("lookup", "lookup", pa.string()),
    ("sample_rate", "sample_rate", pa.float64()),
    ("route", "route", pa.string()),
    ("asked", "asked", pa.string()),
    ("shadow_of", "shadow_of", pa.string()),
    ("trace", "trace", pa.string()),
)


def objects(batch: Batch) -> Iterator[tuple[str, bytes]]:
    """Keys and contents of the lake's objects for a batch; the same batch gives the same keys."""
    parts: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in batch.records:
        day = datetime.fromtimestamp(record.at, UTC).date().isoformat()
        parts[day, record.endpoint].append(record)
    name = f"{batch.gateway}-{batch.boot}-{batch.seq}.parquet"
    for (day, endpoint), records in parts.items():
        key = f"{PREFIX}/date={day}/endpoint={endpoint}/{name}"
        yield key, encode(records)


def encode(records: Sequence[Record]) -> bytes:
    """A Parquet file with a column for every field and, as `feature_<name>`, for every feature."""
    buffer = io.BytesIO()
    pq.write_table(table(records), buffer, compression="zstd")
    return buffer.getvalue()


def table(records: Sequence[Record]) -> pa.Table:
    """Records as an Arrow table; `at` is a UTC timestamp in microseconds."""
    moments = [round(record.at * 1_000_000) for record in records]
    columns = {"at": pa.array(moments, pa.timestamp("us", tz="UTC"))}
    for name, field, kind in COLUMNS:
        columns[name] = pa.array([getattr(record, field) for record in records], kind)
    for name in sorted({name for record in records for name in record.features}):
        values = [record.features.get(name) for record in records]
        columns[FEATURE + name] = pa.array(*_typed(values))
    return pa.table(columns)


def _typed(values: Sequence[object]) -> tuple[Iterable[object], pa.DataType]:
    """Numbers are doubles in every file, so that files of one endpoint read as one table."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {bool}:
        return values, pa.bool_()
    if kinds <= {int, float, bool}:
        return [None if v is None else float(v) for v in values], pa.float64()  # type: ignore[arg-type]  # numbers, by the line above
    return [None if value is None else str(value) for value in values], pa.string()
