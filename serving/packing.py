"""Rows of features to the raw tensors of a model that takes them as they are.

What is shared with the way through preprocessing, too: rows, the fault of a schema, text cells.
"""

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

from contracts.schema import FeatureSpec, ModelSchema, TensorSpec

Value = float | int | bool | str | None
Row = tuple[Value, ...]
Cell = float | int | bool | str
Pack = Callable[[Sequence[Row]], list[bytes]]
Cells = Callable[[Sequence[Row]], Iterable[Any]]
TYPECODES = {"FP32": "f", "FP64": "d", "INT64": "q", "BOOL": "b"}


class SchemaError(ValueError):
    """A schema that no row could be packed by."""


def pack_as_is(schema: ModelSchema) -> Pack:
    """Rows in the schema's order to raw little-endian tensors `[rows, k]`, in that of its tensors.

    BYTES cells are length-prefixed. A missing or null value takes the feature's default, else NaN
    in a floating-point tensor and "" in a BYTES tensor. Raises SchemaError.
    """
    names = [feature.name for feature in schema.features]
    found = _fills(schema)
    fills = tuple(found.get(name) for name in names)
    packers = [_packer(tensor, schema) for tensor in schema.tensors]

    def pack(rows: Sequence[Row]) -> list[bytes]:
        return [packer(rows) for packer in packers]

    def pack_filled(rows: Sequence[Row]) -> list[bytes]:
        rows = [filled(row, fills) if None in row else row for row in rows]
        return [packer(rows) for packer in packers]

    return pack_filled if found else pack


def filled(row: Row, fills: Row) -> Row:
    """The row with `fills` in place of what is missing."""
    return tuple(fill if value is None else value for value, fill in zip(row, fills, strict=True))


def cells_of(columns: list[int], width: int) -> Cells:
    """The cells of these columns, row by row, out of whole rows of `width`."""
    if columns == list(range(width)):
        return chain.from_iterable
    if len(columns) == 1:
        column = columns[0]
        return lambda rows: [row[column] for row in rows]
    getter = itemgetter(*columns)
    return lambda rows: chain.from_iterable(map(getter, rows))


@lru_cache(maxsize=16_384)
def text_cell(text: str) -> bytes:
    """A cell of a BYTES tensor, behind its length."""
    data = text.encode()
    return len(data).to_bytes(4, "little") + data


def unpack(tensor: TensorSpec, data: bytes) -> list[Cell]:
    """All cells of a raw tensor, row after row."""
    if tensor.datatype != "BYTES":
        numbers = array(TYPECODES[tensor.datatype], data)
        return [bool(cell) for cell in numbers] if tensor.datatype == "BOOL" else list(numbers)
    found: list[Cell] = []
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : end].decode())
        at = end
    return found


def _packer(tensor: TensorSpec, schema: ModelSchema) -> Callable[[Sequence[Row]], bytes]:
    features = {feature.name: feature for feature in schema.features}
    columns = [_column(tensor, name, features) for name in tensor.features]
    cells = cells_of(columns, len(features))
    if tensor.datatype == "BYTES":
        return lambda rows: b"".join(map(text_cell, cells(rows)))
    code = TYPECODES[tensor.datatype]
    return lambda rows: array(code, cells(rows)).tobytes()


def _column(tensor: TensorSpec, name: str, features: dict[str, FeatureSpec]) -> int:
    feature = features.get(name)
    if feature is None:
        raise SchemaError(f"tensor {tensor.name!r} names no feature {name!r}")
    if (feature.kind == "string") != (tensor.datatype == "BYTES"):
        raise SchemaError(f"feature {name!r} does not fit tensor type {tensor.datatype}")
    if tensor.datatype == "INT64" and feature.kind == "float":
        raise SchemaError(f"feature {name!r} would lose its fraction in an INT64 tensor")
    if tensor.datatype == "BOOL" and feature.kind != "boolean":
        raise SchemaError(f"feature {name!r} is not boolean but its tensor is")
    return list(features).index(name)


def _fills(schema: ModelSchema) -> dict[str, Value]:
    """What stands for a missing value of each feature that may be missing."""
    floating = {n for t in schema.tensors if t.datatype in ("FP32", "FP64") for n in t.features}
    exact = {n for t in schema.tensors if t.datatype in ("INT64", "BOOL") for n in t.features}
    fills: dict[str, Value] = {}
    for feature in schema.features:
        if feature.required and not feature.nullable:
            continue
        if feature.default is None and feature.name in exact:
            raise SchemaError(f"feature {feature.name!r} may be missing and needs a default")
        default = default_of(feature)
        missing = math.nan if feature.name in floating else ""
        fills[feature.name] = missing if default is None else default
    return fills


def default_of(feature: FeatureSpec) -> Value:
    """The declared default, in the feature's own type; None when there is none."""
    if feature.default is None:
        return None
    if feature.kind == "string":
        return str(feature.default)
    return float(feature.default) if feature.kind == "float" else int(feature.default)
