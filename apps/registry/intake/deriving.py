"""A smaller variant of a version, held against the version that it was made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from apps.registry.conversion.proof import compare, labels_of, wilson
from apps.registry.conversion.sandbox import GB, HERE, Limits, environment_of, run
from apps.registry.errors import NotConvertible
from apps.registry.intake.converting import ENVIRONMENT, taken_out
from apps.registry.intake.logged import Logged
from apps.registry.models import ModelVersion
from apps.registry.probe import Job, Probed, probe
from contracts.schema import ModelSchema
from serving.background import thinned
from serving.columns import NUMPY_TYPES
from serving.validation import compile_schema

SCRIPT = HERE / "variants.py"
MAX_ROWS = 1_000
TIMED_RUNS = 200
# Numbers within 5 %; below FEW rows of agreement the variant is refused, below MOST it is marked.
TOLERANCE = 0.05
FEW, MOST = 0.9, 0.99


@dataclass(frozen=True)
class Rows:
    """Rows that fit the schema, with the truth about each where it was logged."""

    rows: Sequence[Mapping[str, Any]]
    labels: Sequence[Any] = ()


def rows_of(logged: Logged, schema: ModelSchema) -> Rows:
    """The sample that was logged, else the example, as far as it fits the schema."""
    compiled = compile_schema(schema)
    rows = logged.example if logged.sample is None else logged.sample
    whole = len(logged.labels) == len(rows)
    labels = logged.labels if whole else [None] * len(rows)
    pairs = thinned(list(zip(rows, labels, strict=True)), MAX_ROWS) if rows else []
    kept = [pair for pair in pairs if not compiled.faults(pair[0])]
    return Rows([row for row, _ in kept], [label for _, label in kept] if whole else ())


def measured(held: Mapping[str, Any]) -> dict[str, float]:
    """The figures of `hold_against` that are metrics of the variant."""
    found = {"agreement": held["agreement"]}
    if held["accuracy"]:
        found["accuracy"] = held["accuracy"][1]["share"]
    return found


def make_variant(kind: str, source: Path) -> tuple[Path, Mapping[str, Any]]:
    """Write the variant beside `source`; its path and the sandbox's means. NotConvertible."""
    size = source.stat().st_size
    limits = Limits(memory_bytes=4 * GB + 8 * size, cpu_s=280, wall_s=300.0, disk_bytes=4 * GB)
    order = {"kind": kind, "path": str(source)}
    python = environment_of(ENVIRONMENT)
    ran = run(SCRIPT, order, place=source.parent, python=python, limits=limits)
    said = ran.answer.get("error") if isinstance(ran.answer, dict) else ran.said
    if said or ran.answer is None:
        raise NotConvertible(f"there is no {kind} variant: {said}"[:600])
    return taken_out(source.parent, "model.onnx"), ran.means


def hold_against(
    version: ModelVersion, schema: ModelSchema, before: Path, after: Path, given: Rows
) -> dict[str, Any]:
    """Size, speed and agreement of the variant. Raises NotConvertible where it agrees too little.

    Latencies are medians of one row on one thread, in ms; accuracies are shares of the labels.
    """
    if not given.rows:
        raise NotConvertible("there are no rows to hold the variant against the version with")
    probed = [probe(Job(path, schema, given.rows, runs=TIMED_RUNS)) for path in (before, after)]
    first, second = (_answers(each, schema, len(given.rows)) for each in probed)
    proof = compare(first, second, schema.output, version.labelling(), tolerance=TOLERANCE)
    share = proof.within if proof.labels_agree is None else proof.labels_agree
    if share < FEW:
        raise NotConvertible(f"the variant answers otherwise: {proof}")
    return {
        "proof": msgspec.to_builtins(proof),
        "agreement": share,
        "agrees": share >= MOST,
        "size_bytes": [before.stat().st_size, after.stat().st_size],
        "latency_ms": [round(median(each.latencies_ms), 4) for each in probed],
        "accuracy": _accuracy(version, schema, (first, second), given.labels),
    }


def _answers(probed: Probed, schema: ModelSchema, rows: int) -> npt.NDArray[np.float64]:
    if probed.error:
        raise NotConvertible(f"the model does not run: {probed.error}")
    values = np.frombuffer(probed.answer, NUMPY_TYPES[schema.output.datatype])
    return np.asarray(values.reshape(rows, -1), dtype=np.float64)


def _accuracy(
    version: ModelVersion,
    schema: ModelSchema,
    answers: Sequence[npt.NDArray[np.float64]],
    labels: Sequence[Any],
) -> list[dict[str, float]]:
    """Of both, with 95 % intervals; empty without labels, and of a regression."""
    if schema.output.kind == "regression" or len(labels) != len(answers[0]):
        return []
    names = version.label_map
    found = []
    for each in answers:
        predicted = labels_of(each, schema.output, version.labelling())
        right = [
            str(label) in (str(index), names.get(str(index)))
            for index, label in zip(predicted, labels, strict=True)
        ]
        share = float(np.mean(right))
        low, high = wilson(share, len(right))
        found.append({"share": share, "low": low, "high": high, "rows": len(right)})
    return found
