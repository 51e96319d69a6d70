"""The reference profile of a version on its way in: its sample, counted and predicted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from apps.registry.errors import NotConvertible
from apps.registry.intake.converting import predicted
from apps.registry.intake.logged import Logged
from apps.registry.models import ModelVersion, ReferenceProfile, digest_of
from contracts.schema import ModelSchema
from serving.background import thinned
from serving.columns import NUMPY_TYPES
from serving.labels import Answer, Labeller
from serving.reference import Reference, reference_of
from serving.validation import compile_schema

MAX_ROWS = 10_000


def refer(
    version: ModelVersion, logged: Logged, schema: ModelSchema, path: Path | None
) -> ReferenceProfile | None:
    """Unsaved; None where no row of sample or example fits the schema.

    `path` is the ONNX file, which predicts the sample in the sandbox; None leaves predictions out.
    """
    compiled = compile_schema(schema)
    logged_rows = logged.sample if logged.sample is not None else logged.example
    rows = [row for row in thinned(logged_rows, MAX_ROWS) if not compiled.faults(row)]
    if not rows:
        return None
    answers = [] if path is None else _answers(version, schema, path, rows)
    reference = reference_of(
        schema.features,
        rows,
        source="sample" if logged.sample is not None else "example",
        scores=[answer.score for answer in answers],
        predicted=[answer.label for answer in answers if answer.index >= 0],
        labels=_counted(logged.labels),
    )
    return _row(version, reference)


def _answers(
    version: ModelVersion, schema: ModelSchema, path: Path, rows: Sequence[Mapping[str, Any]]
) -> list[Answer]:
    """Of the rows that are answered sensibly; none when the model does not run on them.

    That it does not run is for the validation to say.
    """
    try:
        found = predicted(path, schema, rows)
    except NotConvertible:
        return []
    raw = np.ascontiguousarray(found, NUMPY_TYPES[schema.output.datatype]).tobytes()
    answers = Labeller(schema.output, version.labelling()).read(raw, len(rows))
    return [answer for answer in answers if answer is not None]


def _counted(labels: Sequence[Any]) -> dict[str, int]:
    return dict(Counter(str(label) for label in labels if label is not None))


def _row(version: ModelVersion, reference: Reference) -> ReferenceProfile:
    body = msgspec.to_builtins(reference)
    return ReferenceProfile(
        version=version,
        format=reference.format,
        digest=digest_of(body),
        rows=reference.rows,
        source=reference.source,
        comparable=reference.comparable,
        body=body,
    )
