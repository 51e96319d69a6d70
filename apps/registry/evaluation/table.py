"""The evaluation table that a training script logs beside its model, and what is counted in it.

`evaluation.parquet`, or `evaluation.json` (a list of rows, or {"columns": […], "data": [[…]]}):
one row for each row that the model was evaluated on, never trained on, with the columns
    label   what was true: 0 or 1, a class, or a number
    score   what the model said: the probability of class 1, the class, or a number
and any further columns, each a grouping (carrier, region, sex) by which slices and bias are judged.
Counts are kept, not rows: a table may hold what no approver should see. Pure.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from apps.registry.evaluation.statistics import Estimate, area_under_curve

FILES = ("evaluation.parquet", "evaluation.json")
LABEL, SCORE = "label", "score"
MOST_BYTES = 64 * 1024 * 1024
MOST_ROWS = 2_000_000
MOST_COLUMNS = 30
MOST_VALUES = 50


class BadTable(ValueError):
    """The file is no evaluation table, and why."""


class Cell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts of some rows. Classes: `correct`; of two also positives, said positive, and both.

    Numbers: sums of the absolute and of the squared error, and of their squares.
    """

    rows: int
    correct: int = 0
    positives: int = 0
    said: int = 0
    both: int = 0
    absolute: tuple[float, float] = (0.0, 0.0)
    squared: tuple[float, float] = (0.0, 0.0)


class Evaluated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an evaluation table says, at the threshold that the version had.

    `auc` and `brier` are {value, rows, error}; `skipped` are columns with too many values.
    """

    kind: str
    threshold: float
    overall: Cell
    groups: dict[str, dict[str, Cell]] = {}
    auc: tuple[float, int, float] | None = None
    brier: tuple[float, int, float] | None = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Columns of one length."""

    columns: Mapping[str, Sequence[Any]]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.columns[LABEL])


def read_table(name: str, body: bytes) -> Table:
    """Read an evaluation table. Raises BadTable."""
    if len(body) > MOST_BYTES:
        raise BadTable(f"is larger than {MOST_BYTES // 1024**2} MiB")
    columns = _parquet(body) if name.endswith(".parquet") else _json(body)
    for needed in (LABEL, SCORE):
        if needed not in columns:
            raise BadTable(f"has no column {needed!r}")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or not 0 < (rows := lengths.pop()) <= MOST_ROWS:
        raise BadTable(f"needs 1 to {MOST_ROWS:,} rows, and all columns as long")
    if any(value is None for key in (LABEL, SCORE) for value in columns[key]):
        raise BadTable(f"has rows without label or score, among {rows:,}")
    return Table(columns)


def _parquet(body: bytes) -> dict[str, Sequence[Any]]:
    # Imported on first use: few processes ever read one.
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(body))
        if file.metadata.num_rows > MOST_ROWS:
            raise BadTable(f"has more than {MOST_ROWS:,} rows")
        names = file.schema_arrow.names[: MOST_COLUMNS + 2]
        read: dict[str, Sequence[Any]] = file.read(columns=names).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        raise BadTable(f"is no Parquet: {error}") from error
    return read


def _json(body: bytes) -> dict[str, Sequence[Any]]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BadTable(f"is no JSON: {error}") from error
    if isinstance(found, dict) and {"columns", "data"} <= set(found):
        names, rows = found["columns"], found["data"]
        if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
            raise BadTable("has rows of another length than its columns")
        return {str(name): [row[index] for row in rows] for index, name in enumerate(names)}
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        return {str(name): [row.get(name) for row in found] for name in found[0]}
    raise BadTable("is neither a list of rows nor columns with data")


def evaluate(table: Table, *, kind: str, threshold: float) -> Evaluated:
    """Count a table; `kind` is the version's: binary, multiclass or regression. Raises BadTable."""
    marks = {"binary": _binary, "multiclass": _classes, "regression": _numbers}[kind](
        table, threshold
    )
    everything = range(table.rows)
    groups, skipped = _groups(table)
    return Evaluated(
        kind=kind,
        threshold=threshold,
        overall=_cell(kind, marks, everything),
        groups={
            name: {value: _cell(kind, marks, rows) for value, rows in values.items()}
            for name, values in groups.items()
        },
        **(_scored(marks) if kind == "binary" else {}),
        skipped=tuple(skipped),
    )


Marks = Sequence[tuple[Any, Any, float]]


def _binary(table: Table, threshold: float) -> Marks:
    """For each row: whether it is of class 1, whether the model says so, and its score."""
    marks = []
    for label, score in zip(table.columns[LABEL], table.columns[SCORE], strict=True):
        truth, chance = _number(label), _number(score)
        if truth not in (0.0, 1.0) or not 0.0 <= chance <= 1.0:
            raise BadTable("takes labels 0 and 1, and scores from 0 to 1")
        marks.append((truth == 1.0, chance >= threshold, chance))
    return marks


def _classes(table: Table, _threshold: float) -> Marks:
    both = zip(table.columns[LABEL], table.columns[SCORE], strict=True)
    return [(str(label), str(score), 0.0) for label, score in both]


def _numbers(table: Table, _threshold: float) -> Marks:
    both = zip(table.columns[LABEL], table.columns[SCORE], strict=True)
    return [(0, 0, _number(score) - _number(label)) for label, score in both]


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise BadTable(f"{str(value)[:40]!r} is no number") from error
    if not math.isfinite(number):
        raise BadTable("takes finite numbers")
    return number


def _groups(table: Table) -> tuple[dict[str, dict[str, list[int]]], list[str]]:
    """Rows of each value of each grouping column, and the columns with too many values."""
    found: dict[str, dict[str, list[int]]] = {}
    skipped = []
    for name in [key for key in table.columns if key not in (LABEL, SCORE)][:MOST_COLUMNS]:
        rows: dict[str, list[int]] = {}
        for index, value in enumerate(table.columns[name]):
            rows.setdefault("missing" if value is None else str(value), []).append(index)
            if len(rows) > MOST_VALUES:
                break
        if len(rows) > MOST_VALUES:
            skipped.append(name)
        else:
            found[name] = rows
    return found, skipped


def _cell(kind: str, marks: Marks, rows: Iterable[int]) -> Cell:
    chosen = [marks[index] for index in rows]
    if kind == "regression":
        off = [abs(one[2]) for one in chosen]
        return Cell(rows=len(off), absolute=_sums(off), squared=_sums([x * x for x in off]))
    correct = sum(truth == said for truth, said, _ in chosen)
    if kind == "multiclass":
        return Cell(rows=len(chosen), correct=correct)
    return Cell(
        rows=len(chosen),
        correct=correct,
        positives=sum(truth for truth, _, _ in chosen),
        said=sum(said for _, said, _ in chosen),
        both=sum(truth and said for truth, said, _ in chosen),
    )


def _sums(values: Sequence[float]) -> tuple[float, float]:
    return math.fsum(values), math.fsum(value * value for value in values)


def _scored(marks: Marks) -> dict[str, Any]:
    area = area_under_curve(
        [score for truth, _, score in marks if truth],
        [score for truth, _, score in marks if not truth],
    )
    squares = _sums([(score - truth) ** 2 for truth, _, score in marks])
    brier = _mean(squares, len(marks))
    return {
        "auc": (area.value, area.rows, area.error) if area else None,
        "brier": (brier.value, brier.rows, brier.error) if brier else None,
    }


def _mean(sums: tuple[float, float], rows: int) -> Estimate | None:
    """A mean and its standard error, from the sum and the sum of squares."""
    if rows < 2:
        return None
    mean = sums[0] / rows
    variance = max(sums[1] / rows - mean * mean, 0.0) * rows / (rows - 1)
    return Estimate(mean, rows, error=math.sqrt(variance / rows))


def estimates(found: Evaluated, cell: Cell | None = None) -> dict[str, Estimate]:
    """Every figure that the counts give, by name; of all rows, or of one group's cell."""
    one = cell or found.overall
    if found.kind == "regression":
        means = {"mae": _mean(one.absolute, one.rows), "mse": _mean(one.squared, one.rows)}
        return {name: mean for name, mean in means.items() if mean is not None}
    figures = {"accuracy": Estimate.proportion(one.correct, one.rows)}
    if found.kind == "binary":
        negatives, wrongly = one.rows - one.positives, one.said - one.both
        figures |= {
            "precision": Estimate.proportion(one.both, one.said),
            "recall": Estimate.proportion(one.both, one.positives),
            "false_positive_rate": Estimate.proportion(wrongly, negatives),
            "selection_rate": Estimate.proportion(one.said, one.rows),
        }
        for name, scored in (("auc", found.auc), ("brier", found.brier)):
            if cell is None and scored is not None:
                figures[name] = Estimate(scored[0], scored[1], error=scored[2])
    return {name: figure for name, figure in figures.items() if figure is not None}
