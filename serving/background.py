"""The background sample of a version: the rows that its explanations compare with.

Stored as the model's own input tensors, in JSON: what the explainer loads is byte for byte what
was registered with the version.
"""

from array import array
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from contracts.schema import TensorSpec
from serving.validation import CompiledSchema, Row

MIN_ROWS, MAX_ROWS = 10, 100
Cell = float | int | str
T = TypeVar("T")
_TYPECODES = {"FP32": "f", "FP64": "d", "INT64": "q", "BOOL": "b"}


def thinned(rows: Sequence[T], most: int = MAX_ROWS) -> list[T]:
    """At most `most` of the rows, evenly spread over their order."""
    count = min(len(rows), most)
    return [rows[number * len(rows) // count] for number in range(count)]


def encode_background(schema: CompiledSchema, rows: Sequence[Row]) -> bytes:
    """{tensor: [rows][columns]} as canonical JSON; a missing number is null."""
    tensors = schema.schema.tensors
    packed = zip(tensors, schema.pack(rows), strict=True)
    return msgspec.json.encode({tensor.name: _cells(tensor, raw) for tensor, raw in packed})


def _cells(tensor: TensorSpec, raw: bytes) -> list[list[Cell]]:
    width = len(tensor.features)
    flat = _texts(raw) if tensor.datatype == "BYTES" else _numbers(tensor.datatype, raw)
    return [flat[at : at + width] for at in range(0, len(flat), width)]


def _numbers(datatype: str, raw: bytes) -> list[Cell]:
    values = array(_TYPECODES[datatype])
    values.frombytes(raw)
    return list(values)


def _texts(raw: bytes) -> list[Cell]:
    found: list[Cell] = []
    at = 0
    while at < len(raw):
        start = at + 4
        at = start + int.from_bytes(raw[at:start], "little")
        found.append(raw[start:at].decode())
    return found
