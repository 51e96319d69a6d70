"""Reading what MLflow holds about a model, up to the artifact itself: text only, and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.registry import background
from apps.registry.errors import SchemaMismatch, SourceNotFound, UnreadableArtifact
from apps.registry.mlflow.client import MlflowClient, Source
from apps.registry.mlflow.mlmodel import (
    MlModel,
    UnreadableModel,
    parse_example,
    parse_labels,
    parse_mlmodel,
)
from apps.registry.model_schema import Mismatch, columns_of
from contracts.declaration import SAMPLE_FILE

MLMODEL = "MLmodel"
MAX_ARTIFACT = 20 * 1024**3
MAX_SAMPLE_ROWS = 100_000
MAX_SAMPLE = 64 * 1024**2
SAMPLES = (SAMPLE_FILE, background.FILE)


@dataclass(frozen=True)
class Logged:
    """A logged model without its artifact.

    `files` are paths and sizes below its folder. `example` and `sample` are rows by column;
    `sample` is None where none was logged. `labels` are the truth about the sample's rows.
    """

    source: Source
    mlmodel: MlModel
    files: Mapping[str, int]
    example: list[dict[str, Any]]
    sample: list[dict[str, Any]] | None
    labels: Sequence[Any] = ()

    @property
    def tags(self) -> Mapping[str, str]:
        """The run's."""
        return self.source.run.tags if self.source.run else {}


def read_logged(client: MlflowClient, source: Source) -> Logged:
    """What lies at `source`. Raises SourceNotFound, UnreadableArtifact or SchemaMismatch."""
    files = client.files(source)
    if MLMODEL not in files:
        raise SourceNotFound(f"there is no model at {source.uri}", field="artifact_path")
    try:
        mlmodel = parse_mlmodel(client.text(source, MLMODEL))
    except UnreadableModel as error:
        raise UnreadableArtifact(str(error), field="artifact_path") from error
    require_data(mlmodel.data, files)
    names = _column_names(mlmodel)
    example = client.text(source, mlmodel.example_path) if mlmodel.example_path in files else ""
    sample, labels = _sample(client, source, files, names)
    return Logged(
        source,
        mlmodel,
        files,
        parse_example(example, names) if example else [],
        sample,
        labels,
    )


def require_data(name: str, files: Mapping[str, int]) -> None:
    """Raise UnreadableArtifact unless the file or folder is there and of a size that is taken."""
    sizes = [size for path, size in files.items() if path == name or path.startswith(f"{name}/")]
    if not sizes:
        said = f"the MLmodel file names {name!r}, which is not there"
        raise UnreadableArtifact(said, field="artifact_path")
    if sum(sizes) > MAX_ARTIFACT:
        said = f"{name} is larger than {MAX_ARTIFACT} bytes"
        raise UnreadableArtifact(said, field="artifact_path")


def _sample(
    client: MlflowClient, source: Source, files: Mapping[str, int], names: list[str]
) -> tuple[list[dict[str, Any]] | None, list[Any]]:
    """Rows and labels of the training sample, else of the background sample.

    Either lies beside the model or among its extra files.
    """
    places = [f"{folder}{name}" for name in SAMPLES for folder in ("", "extra_files/")]
    place = next((path for path in places if path in files), None)
    if place is None:
        return None, []
    text = client.text(source, place, most=MAX_SAMPLE)
    return parse_example(text, names, MAX_SAMPLE_ROWS), parse_labels(text)


def _column_names(mlmodel: MlModel) -> list[str]:
    try:
        columns = columns_of(mlmodel.signature.get("inputs") or [])
    except Mismatch as error:
        raise SchemaMismatch(str(error), field="artifact_path") from error
    return [column.name for column in columns]
