"""Turning a foreign model into ONNX in the sandbox, and proving that it answers as it did."""

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from apps.registry.conversion.proof import Proof, compare
from apps.registry.conversion.sandbox import GB, HERE, WORK, Limits, Ran, environment_of, run
from apps.registry.errors import NotConvertible
from apps.registry.model_schema import columns_of
from apps.registry.models import ModelVersion
from apps.registry.probe import Job, probe
from contracts.schema import ModelSchema
from serving.background import thinned
from serving.columns import NUMPY_TYPES
from serving.validation import InvalidFeatures

SCRIPT = HERE / "convert.py"
ENVIRONMENT = "conversion"
MAX_ROWS = 1_000
MEMORY_PER_BYTE = 8
WALL_S = 300.0


class _Answer(msgspec.Struct, frozen=True):
    """What `convert.py` says; none of it is believed without the proof."""

    stage: str
    drift: str = ""
    error: str = ""
    class_: str = msgspec.field(name="class", default="")
    packages: dict[str, str] = {}
    outputs: bytes = b""
    shape: list[int] = []


@dataclass(frozen=True)
class Converted:
    """The ONNX file, what the original answered to `rows`, and what is kept as evidence."""

    path: Path
    rows: Sequence[Mapping[str, Any]]
    outputs: npt.NDArray[np.float64]
    evidence: dict[str, Any]


def convert(
    source: Path,
    framework: str,
    settings: Mapping[str, str],
    signature: Mapping[str, Any],
    sample: Sequence[Mapping[str, Any]],
    *,
    wall_s: float = WALL_S,
) -> Converted:
    """Write the model in `source` as ONNX beside it, and let it predict the sample.

    `source` lies alone in a folder of the caller's. Raises NotConvertible with the reason, and
    SandboxUnavailable.
    """
    rows = thinned(sample, MAX_ROWS) if sample else []
    if not rows:
        said = "nothing shows what it answers: log an input example or a sample with it"
        raise NotConvertible(said, field="artifact_path")
    columns = columns_of(signature.get("inputs") or [])
    order = {
        "path": str(source),
        "framework": framework,
        "settings": dict(settings),
        "columns": [{"name": column.name, "kind": column.kind} for column in columns],
        "rows": [{column.name: row.get(column.name) for column in columns} for row in rows],
    }
    ran = run(
        SCRIPT,
        order,
        place=source.parent,
        python=environment_of(ENVIRONMENT),
        limits=_limits(source.stat().st_size, wall_s),
    )
    answer = _believed(ran)
    path = taken_out(source.parent, "model.onnx")
    evidence = {
        "from": framework,
        "class": answer.class_[:200],
        "packages": answer.packages,
        "drift": answer.drift[:300],
        "sandbox": dict(ran.means),
    }
    return Converted(path, rows, _outputs(answer, len(rows)), evidence)


def prove(converted: Converted, version: ModelVersion, schema: ModelSchema) -> Proof:
    """Hold the ONNX against the original. Raises NotConvertible where they are too far apart."""
    second = predicted(converted.path, schema, converted.rows)
    try:
        proof = compare(converted.outputs, second, schema.output, version.labelling())
    except ValueError as error:
        raise NotConvertible(f"the ONNX does not answer as the model did: {error}") from error
    if not proof.holds:
        raise NotConvertible(f"the ONNX does not answer as the model did: {proof}")
    return proof


def predicted(
    path: Path, schema: ModelSchema, rows: Sequence[Mapping[str, Any]]
) -> npt.NDArray[np.float64]:
    """What an ONNX model answers to the rows, `[rows, width]`. Raises NotConvertible."""
    try:
        probed = probe(Job(path, schema, rows, runs=0))
    except InvalidFeatures as error:
        raise NotConvertible(f"the sample does not fit the signature: {error}"[:500]) from error
    if probed.error:
        raise NotConvertible(f"the ONNX does not run: {probed.error}")
    values = np.frombuffer(probed.answer, NUMPY_TYPES[schema.output.datatype])
    return np.asarray(values.reshape(len(rows), -1), dtype=np.float64)


def taken_out(place: Path, name: str, target: str = "") -> Path:
    """Copy a file out of the sandbox's work folder; no link of any kind is followed.

    Raises NotConvertible when it is none.
    """
    path = place / (target or name)
    try:
        source = os.open(place / WORK / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise NotConvertible("the sandbox left no model behind") from error
    with os.fdopen(source, "rb") as file:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise NotConvertible("the sandbox left no file behind, but a link")
        with path.open("wb") as into:
            shutil.copyfileobj(file, into, 1024 * 1024)
    return path


def _limits(size: int, wall_s: float) -> Limits:
    return Limits(
        memory_bytes=4 * GB + MEMORY_PER_BYTE * size,
        cpu_s=int(wall_s) + 1,
        wall_s=wall_s,
        disk_bytes=2 * GB,
    )


def _believed(ran: Ran) -> _Answer:
    if ran.answer is None:
        raise NotConvertible(f"the model was stopped in the sandbox: {ran.said}")
    try:
        answer = msgspec.convert(ran.answer, _Answer)
    except msgspec.ValidationError as error:
        raise NotConvertible("what the model said in the sandbox makes no sense") from error
    if answer.error:
        what = {"open": "cannot be opened", "predict": "does not predict its own sample"}
        said = f"the model {what.get(answer.stage, 'cannot be written as ONNX')}: {answer.error}"
        raise NotConvertible(f"{said} ({answer.drift})" if answer.drift else said)
    return answer


def _outputs(answer: _Answer, rows: int) -> npt.NDArray[np.float64]:
    try:
        found = np.frombuffer(answer.outputs, "<f8").reshape(answer.shape)
    except ValueError as error:
        raise NotConvertible("what the model answered makes no sense") from error
    if found.ndim != 2 or len(found) != rows:
        raise NotConvertible(f"the model answered {list(found.shape)} to {rows} rows")
    return np.asarray(found, dtype=np.float64)
