"""MLflow's answers, as far as they are read; fields that it adds are ignored."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


class Pair(msgspec.Struct):
    """A tag or a parameter."""

    key: str
    value: str = ""


class Measure(msgspec.Struct):
    """A metric's last value; NaN and infinities come as text."""

    key: str
    value: float | str = 0.0


class RunInfo(msgspec.Struct):
    """Identity of a run."""

    run_id: str
    experiment_id: str
    artifact_uri: str
    start_time: int = 0
    end_time: int | None = None


class RunData(msgspec.Struct):
    """What was logged."""

    metrics: list[Measure] = []
    params: list[Pair] = []
    tags: list[Pair] = []


class Dataset(msgspec.Struct):
    """A data set that a run used."""

    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""


class DatasetInput(msgspec.Struct):
    """One data set among a run's inputs."""

    dataset: Dataset


class RunInputs(msgspec.Struct):
    """What a run used."""

    dataset_inputs: list[DatasetInput] = []


class ModelOutput(msgspec.Struct):
    """A model that a run logged."""

    model_id: str


class RunOutputs(msgspec.Struct):
    """What a run made."""

    model_outputs: list[ModelOutput] = []


class RunBody(msgspec.Struct):
    """A run."""

    info: RunInfo
    data: RunData = msgspec.field(default_factory=RunData)
    inputs: RunInputs = msgspec.field(default_factory=RunInputs)
    outputs: RunOutputs = msgspec.field(default_factory=RunOutputs)


class RunAnswer(msgspec.Struct):
    """Of /runs/get."""

    run: RunBody


class LoggedModelInfo(msgspec.Struct):
    """Identity of a logged model."""

    model_id: str
    name: str
    artifact_uri: str
    source_run_id: str = ""


class LoggedModel(msgspec.Struct):
    """A logged model."""

    info: LoggedModelInfo


class LoggedModelAnswer(msgspec.Struct):
    """Of /logged-models/(id)."""

    model: LoggedModel


class RegisteredVersion(msgspec.Struct):
    """A version in MLflow's registry."""

    name: str
    version: str
    run_id: str | None = None


class VersionAnswer(msgspec.Struct):
    """Of /model-versions/get."""

    model_version: RegisteredVersion


class UriAnswer(msgspec.Struct):
    """Of /model-versions/get-download-uri."""

    artifact_uri: str


class FileEntry(msgspec.Struct):
    """A file or folder of artifacts."""

    path: str
    is_dir: bool = False
    file_size: int = 0


class FilesAnswer(msgspec.Struct):
    """Of /mlflow-artifacts/artifacts."""

    files: list[FileEntry] = []


@dataclass(frozen=True)
class Run:
    """What a run recorded. A metric that is no finite number is None. Times in epoch ms."""

    run_id: str
    experiment_id: str
    artifact_uri: str
    metrics: Mapping[str, float | None]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    datasets: tuple[Dataset, ...]
    model_ids: tuple[str, ...]
    end_time: int | None = None


def run_of(body: RunBody) -> Run:
    """The run in an answer."""
    return Run(
        run_id=body.info.run_id,
        experiment_id=body.info.experiment_id,
        artifact_uri=body.info.artifact_uri,
        metrics={row.key: _finite(row.value) for row in body.data.metrics},
        parameters={row.key: row.value for row in body.data.params},
        tags={row.key: row.value for row in body.data.tags},
        datasets=tuple(row.dataset for row in body.inputs.dataset_inputs),
        model_ids=tuple(row.model_id for row in body.outputs.model_outputs),
        end_time=body.info.end_time,
    )


def _finite(value: float | str) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
