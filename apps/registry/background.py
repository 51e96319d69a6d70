"""The background sample that a version's explanations compare with."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.registry.model_schema import Mismatch
from contracts.schema import ModelSchema
from serving.background import MIN_ROWS, encode_background, thinned
from serving.validation import CompiledSchema, InvalidFeatures, Row, compile_schema

FILE = "background.json"


@dataclass(frozen=True)
class Background:
    """The sample as it is stored; `body` is what the explainer loads."""

    body: bytes
    rows: int

    @property
    def digest(self) -> str:
        """SHA-256 hex of the body."""
        return hashlib.sha256(self.body).hexdigest()


def background_of(
    schema: ModelSchema,
    logged: Sequence[Mapping[str, Any]] | None,
    example: Sequence[Mapping[str, Any]],
) -> Background | None:
    """The sample logged with the model, else its input example where that is large enough.

    None when there is neither. What was logged as a sample has to fit: raises Mismatch.
    """
    compiled = compile_schema(schema)
    if logged is not None:
        return _encoded(compiled, _all(compiled, thinned(logged)))
    fitting = list(_fitting(compiled, example))
    return _encoded(compiled, fitting) if len(fitting) >= MIN_ROWS else None


def _encoded(compiled: CompiledSchema, rows: list[Row]) -> Background:
    return Background(encode_background(compiled, rows), len(rows))


def _all(compiled: CompiledSchema, rows: list[Mapping[str, Any]]) -> list[Row]:
    if len(rows) < MIN_ROWS:
        raise Mismatch(f"{FILE} has {len(rows)} rows; at least {MIN_ROWS} are needed")
    read: list[Row] = []
    for number, row in enumerate(rows):
        try:
            read.append(compiled.read(row))
        except InvalidFeatures as error:
            raise Mismatch(f"row {number} of {FILE} does not fit the signature: {error}") from error
    return read


def _fitting(compiled: CompiledSchema, rows: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for row in rows:
        if not compiled.faults(row):
            yield compiled.read(row)
