"""What a training script declared: read, checked for sense, and proved on its golden rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts.declaration import MAX_GOLDEN_ROWS, Declaration, Golden
from contracts.preprocessing import Step, outputs_of
from contracts.schema import ModelSchema, OutputSpec
from serving.columns import NUMPY_TYPES
from serving.packing import Cell, unpack
from serving.validation import CompiledSchema, InvalidFeatures, Row, compile_schema

MAX_WORDS = 200
FIELDS = ("preprocessing", "columns", "golden")


class Undeclarable(ValueError):
    """A declaration that makes no sense; `field` is the part of it at fault."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


@dataclass(frozen=True)
class Difference:
    """The first cell that differs between training and serving."""

    row: int
    column: str
    trained: float | str | None
    served: float | str | None

    def __str__(self) -> str:
        return (
            f"row {self.row}, {self.column}: {self.trained!r} when trained, {self.served!r} served"
        )


@dataclass(frozen=True)
class StepWords:
    """A step as a page shows it."""

    name: str
    inputs: str
    outputs: str
    how: str


def steps_in_words(steps: Sequence[Step]) -> list[StepWords]:
    """The steps in order, long lists cut short."""
    return [
        StepWords(
            name=type(step).__name__.lower(),
            inputs=_cut(", ".join(step.inputs)),
            outputs=_cut(", ".join(outputs_of(step))),
            how=_cut(_how(step)),
        )
        for step in steps
    ]


def _how(step: Step) -> str:
    settings = {**msgspec.to_builtins(step)}
    for name in ("step", "inputs", "outputs"):
        settings.pop(name, None)
    return ", ".join(f"{name} {_plain(value)}" for name, value in settings.items())


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_plain, value)) + ")"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_WORDS else f"{text[: MAX_WORDS - 1]}…"


def read_declaration(given: Mapping[str, Any], logged: Mapping[str, Any]) -> Declaration:
    """The declaration of a request, each field that it lacks from what was logged.

    Raises Undeclarable.
    """
    parts = {name: given[name] if name in given else logged.get(name) for name in FIELDS}
    found: dict[str, Any] = {}
    for name, type_ in (
        ("preprocessing", Declaration.__annotations__["preprocessing"]),
        ("columns", tuple[str, ...]),
        ("golden", Golden | None),
    ):
        if parts[name] is None:
            continue
        try:
            found[name] = msgspec.convert(parts[name], type_)
        except msgspec.ValidationError as error:
            raise Undeclarable(name, str(error)) from error
    declaration = Declaration(**found)
    if declaration.golden is not None:
        _check_golden(declaration.golden)
    return declaration


def _check_golden(golden: Golden) -> None:
    rows = len(golden.rows)
    if not 1 <= rows <= MAX_GOLDEN_ROWS:
        raise Undeclarable("golden", f"needs 1 to {MAX_GOLDEN_ROWS} rows, not {rows}")
    if not golden.columns and not golden.outputs:
        raise Undeclarable("golden", "needs columns or outputs to compare with")
    for name, table in (("columns", golden.columns), ("outputs", golden.outputs)):
        if table and len(table) != rows:
            raise Undeclarable("golden", f"{name} has {len(table)} rows, not {rows}")
    if not (0 <= golden.tolerance <= 0.1 and 0 <= golden.output_tolerance <= 0.1):
        raise Undeclarable("golden", "a tolerance lies between 0 and 0.1")


def golden_rows(golden: Golden, compiled: CompiledSchema) -> list[Row]:
    """The rows by the schema. Raises InvalidFeatures naming the row."""
    rows: list[Row] = []
    for number, row in enumerate(golden.rows):
        faults = compiled.faults(row, f"$.rows[{number}]")
        if faults:
            raise InvalidFeatures(faults)
        rows.append(compiled.read(row))
    return rows


def differing_column(schema: ModelSchema, declaration: Declaration) -> Difference | None:
    """The first cell that serving packs otherwise than training did, row by row.

    Raises InvalidFeatures, and Undeclarable when the golden table has another width.
    """
    golden = declaration.golden
    if golden is None or not golden.columns:
        return None
    compiled = compile_schema(schema)
    served = _served(schema, compiled.pack(golden_rows(golden, compiled)))
    names = declaration.columns or tuple(served)
    if set(names) - set(served) or any(len(row) != len(names) for row in golden.columns):
        widths = sorted({len(row) for row in golden.columns})
        raise Undeclarable("golden", f"columns have widths {widths}, the model takes {len(names)}")
    cells = (
        Difference(number, f"column {name!r}", trained, served[name][number])
        for number, row in enumerate(golden.columns)
        for name, trained in zip(names, row, strict=True)
    )
    return _first(cells, golden.tolerance)


def differing_output(golden: Golden, output: OutputSpec, answer: bytes) -> Difference | None:
    """The first number that the served model answers otherwise. Raises Undeclarable."""
    if any(len(row) != output.width for row in golden.outputs):
        raise Undeclarable("golden", f"outputs need {output.width} numbers a row")
    served = _numbers(output, answer)
    cells = (
        Difference(number, f"output {at}", trained, served[number * output.width + at])
        for number, row in enumerate(golden.outputs)
        for at, trained in enumerate(row)
    )
    return _first(cells, golden.output_tolerance)


def _served(schema: ModelSchema, packed: Sequence[bytes]) -> dict[str, list[Cell]]:
    """The packed tensors as columns by name."""
    columns: dict[str, list[Cell]] = {}
    for tensor, raw in zip(schema.tensors, packed, strict=True):
        width, cells = len(tensor.features), unpack(tensor, raw)
        columns |= {name: cells[at::width] for at, name in enumerate(tensor.features)}
    return columns


def _numbers(output: OutputSpec, answer: bytes) -> list[float]:
    import numpy as np

    found: list[float] = np.frombuffer(answer, NUMPY_TYPES[output.datatype]).tolist()
    return found


def _first(cells: Iterator[Difference], tolerance: float) -> Difference | None:
    return next((cell for cell in cells if not _agree(cell, tolerance)), None)


def _agree(cell: Difference, tolerance: float) -> bool:
    trained, served = cell.trained, cell.served
    if isinstance(trained, str) or isinstance(served, str):
        return trained == served
    if trained is None or served is None or served != served:
        return trained is None and served != served
    return abs(served - trained) <= tolerance * (1.0 + abs(trained)) or served == trained
