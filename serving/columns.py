"""Columns of a batch: what there is at one point of the preprocessing, rows in, tensors out."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Literal

import numpy as np

from contracts.schema import FeatureKind, FeatureSpec, ModelSchema, TensorSpec
from serving.packing import Row, SchemaError, cells_of, default_of, filled, text_cell
from serving.steps import Frame, Numbers, span

Kind = Literal["number", "integer", "binary", "text"]
Writer = Callable[[Frame], bytes]

NUMPY_TYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
_KINDS: dict[FeatureKind, Kind] = {
    "float": "number",
    "integer": "integer",
    "boolean": "binary",
    "string": "text",
}


@dataclass(frozen=True)
class Column:
    """Where a named column lies, among the numbers or the texts.

    `missing`: it may hold NaN or null. `feature`: what it is as long as no step has touched it.
    """

    slot: int
    kind: Kind
    missing: bool
    feature: FeatureSpec | None = None

    @property
    def text(self) -> bool:
        """Whether it lies among the texts."""
        return self.kind == "text"


class Columns:
    """The columns that there are at one point of the chain."""

    def __init__(self, schema: ModelSchema) -> None:
        self._named: dict[str, Column] = {}
        self.numbers = self.texts = 0
        for feature in schema.features:
            may_miss = (not feature.required or feature.nullable) and feature.default is None
            self.add(feature.name, _KINDS[feature.kind], missing=may_miss, feature=feature)

    def get(self, name: str) -> Column | None:
        """The column that bears this name now."""
        return self._named.get(name)

    def add(
        self, name: str, kind: Kind, *, missing: bool, feature: FeatureSpec | None = None
    ) -> int:
        """A fresh slot under this name; what had the name before is no longer reachable."""
        slot = self.texts if kind == "text" else self.numbers
        self._named[name] = Column(slot, kind, missing, feature)
        if kind == "text":
            self.texts += 1
        else:
            self.numbers += 1
        return slot


def loader(schema: ModelSchema, columns: Columns) -> Callable[[Sequence[Row]], Frame]:
    """Rows to columns, with the features' defaults in place of what is missing."""
    texts = [at for at, each in enumerate(schema.features) if each.kind == "string"]
    numbers = [at for at, each in enumerate(schema.features) if each.kind != "string"]
    cells = cells_of(numbers, len(schema.features)) if numbers else None
    defaults = tuple(default_of(feature) for feature in schema.features)
    has_defaults = any(default is not None for default in defaults)
    number_slots, text_slots = columns.numbers, columns.texts

    def load(rows: Sequence[Row]) -> Frame:
        if has_defaults:
            rows = [filled(row, defaults) if None in row else row for row in rows]
        frame = Frame(np.empty((number_slots, len(rows))), [[] for _ in range(text_slots)])
        if cells is not None:
            frame.numbers[: len(numbers)] = _floats(partial(cells, rows)).reshape(len(rows), -1).T
        for slot, at in enumerate(texts):
            frame.texts[slot] = [row[at] for row in rows]  # type: ignore[misc]  # by the schema
        return frame

    return load


def _floats(cells: Callable[[], Iterable[object]]) -> Numbers:
    """Numbers as float64; None, which is rare and slower, as NaN."""
    try:
        return np.frombuffer(array("d", cells()))  # type: ignore[type-var]  # numbers, by the schema
    except TypeError:
        return np.array(list(cells()), dtype=np.float64)


def writer(tensor: TensorSpec, columns: Columns) -> Writer:
    """The raw tensor `[rows, k]` out of a batch whose steps are done. Raises SchemaError."""
    found = [_tensor_column(tensor, name, columns) for name in tensor.features]
    slots = [column.slot for column in found]
    if tensor.datatype == "BYTES":
        return lambda frame: _joined(zip(*(frame.texts[slot] for slot in slots), strict=True))
    chosen, dtype = span(slots), NUMPY_TYPES[tensor.datatype]
    return lambda frame: frame.numbers[chosen].T.astype(dtype, order="C").tobytes()


def _joined(rows: Iterable[tuple[str | None, ...]]) -> bytes:
    return b"".join(text_cell(text or "") for text in chain.from_iterable(rows))


def _tensor_column(tensor: TensorSpec, name: str, columns: Columns) -> Column:
    column, where = columns.get(name), f"tensor {tensor.name!r}"
    if column is None:
        raise SchemaError(f"{where} names no column {name!r} that preprocessing leaves")
    if column.text != (tensor.datatype == "BYTES"):
        raise SchemaError(f"column {name!r} does not fit {where} of type {tensor.datatype}")
    exact = tensor.datatype in ("INT64", "BOOL")
    if exact and column.missing:
        raise SchemaError(f"column {name!r} may be missing, which {where} cannot say: impute it")
    if tensor.datatype == "INT64" and column.kind == "number":
        raise SchemaError(f"column {name!r} would lose its fraction in {where} of type INT64")
    if tensor.datatype == "BOOL" and column.kind != "binary":
        raise SchemaError(f"column {name!r} is not 0 or 1, but {where} is of type BOOL")
    return column
