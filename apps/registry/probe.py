"""Runs `onnx_probe.py` in the sandbox: a model is opened in another process, never in this one."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from apps.registry.conversion.sandbox import GB, Limits, Ran, run
from contracts.schema import ModelSchema
from serving.validation import compile_schema

SCRIPT = Path(__file__).with_name("onnx_probe.py")
TIMEOUT_S = 120.0
BASE_MEMORY = 4 * GB
MEMORY_PER_BYTE = 6
LATENCY_RUNS = 200


class Port(msgspec.Struct, frozen=True):
    """An input or output as onnxruntime sees it; free sizes are names or None."""

    name: str
    type: str
    shape: list[int | str | None]


class Probed(msgspec.Struct, frozen=True):
    """What happened. `error` is empty when all went well; `stage` is where it did not.

    `answer` is the raw output tensor of the rows asked for.
    """

    stage: str = ""
    error: str = ""
    load_ms: float = 0.0
    inputs: list[Port] = []
    outputs: list[Port] = []
    answer: bytes = b""
    answer_type: str = ""
    answer_shape: list[int] = []
    latencies_ms: list[float] = []

    @property
    def loaded(self) -> bool:
        """Whether the model could be opened."""
        return self.stage not in ("start", "load")


@dataclass(frozen=True)
class Job:
    """A model file and rows of features, checked against its schema, to ask it about.

    `runs` is how often one row is timed.
    """

    path: Path
    schema: ModelSchema
    rows: Sequence[Mapping[str, Any]]
    runs: int = LATENCY_RUNS


def probe(job: Job, *, timeout_s: float = TIMEOUT_S) -> Probed:
    """Open the model and predict the rows.

    Raises serving.validation.InvalidFeatures or SchemaError when the rows do not fit the schema,
    and SandboxUnavailable; a process that dies or takes too long is a finding at stage "start".
    The model's folder has to be the caller's own: the sandbox works in it.
    """
    memory = BASE_MEMORY + MEMORY_PER_BYTE * job.path.stat().st_size
    limits = Limits(memory_bytes=memory, wall_s=timeout_s)
    return _answer(run(SCRIPT, _order(job), place=job.path.parent, limits=limits))


def _order(job: Job) -> dict[str, Any]:
    compiled = compile_schema(job.schema)
    packed = compiled.pack([compiled.read(row) for row in job.rows])
    tensors = [
        {"name": tensor.name, "datatype": tensor.datatype, "data": base64.b64encode(data).decode()}
        for tensor, data in zip(job.schema.tensors, packed, strict=True)
    ]
    return {
        "path": str(job.path),
        "output": job.schema.output.tensor,
        "rows": len(job.rows),
        "runs": job.runs,
        "tensors": tensors,
    }


def _answer(ran: Ran) -> Probed:
    if ran.answer is None:
        return Probed(stage="start", error=f"the process did not end well: {ran.said}")
    try:
        return msgspec.convert(ran.answer, Probed)
    except msgspec.ValidationError as error:
        return Probed(stage="start", error=f"its answer makes no sense: {error}")
