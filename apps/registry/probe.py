"""Runs `onnx_probe.py`: a model is opened in another process, never in this one."""

import base64
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from contracts.schema import ModelSchema
from serving.validation import compile_schema

SCRIPT = Path(__file__).with_name("onnx_probe.py")
TIMEOUT_S = 120.0
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

    Raises serving.validation.InvalidFeatures or SchemaError when the rows do not fit the schema;
    a process that dies or takes too long is a finding at stage "start".
    """
    command = [sys.executable, "-I", str(SCRIPT)]
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command; the job goes by standard input
            command,
            input=_order(job),
            capture_output=True,
            timeout=timeout_s,
            env={},
            cwd=job.path.parent,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probed(stage="start", error=f"the model took longer than {timeout_s:.0f} s")
    return _answer(done)


def _order(job: Job) -> bytes:
    compiled = compile_schema(job.schema)
    packed = compiled.pack([compiled.read(row) for row in job.rows])
    tensors = [
        {"name": tensor.name, "datatype": tensor.datatype, "data": base64.b64encode(data).decode()}
        for tensor, data in zip(job.schema.tensors, packed, strict=True)
    ]
    return msgspec.json.encode(
        {
            "path": str(job.path),
            "size": job.path.stat().st_size,
            "output": job.schema.output.tensor,
            "rows": len(job.rows),
            "runs": job.runs,
            "tensors": tensors,
        }
    )


def _answer(done: "subprocess.CompletedProcess[bytes]") -> Probed:
    try:
        return msgspec.json.decode(done.stdout, type=Probed)
    except (msgspec.DecodeError, msgspec.ValidationError):
        said = done.stderr.decode(errors="replace").strip().splitlines()
        last = said[-1] if said else "no message"
        return Probed(stage="start", error=f"the process ended with {done.returncode}: {last}")
