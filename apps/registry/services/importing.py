"""Importing a version from MLflow: all or nothing.

Everything that can be wrong with what MLflow holds is found before anything is written. Then a
number is taken under the model's row lock, the artifact goes to our store, and one transaction
writes the row and its event. A number whose import failed at the very end is not used again.
"""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import msgspec
import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.accounts.access import Permission, Principal, authorise
from apps.events import services as events
from apps.registry import background
from apps.registry.artifacts import ArtifactStore
from apps.registry.background import Background
from apps.registry.declaration import Undeclarable, read_declaration
from apps.registry.errors import (
    AlreadyExists,
    ArtifactStoreUnavailable,
    Invalid,
    SchemaMismatch,
    SourceNotFound,
    UnreadableArtifact,
)
from apps.registry.mlflow.answers import Run
from apps.registry.mlflow.client import Copied, MlflowClient, Source
from apps.registry.mlflow.mlmodel import (
    MlModel,
    UnreadableModel,
    parse_example,
    parse_mlmodel,
    parse_time,
)
from apps.registry.model_schema import Mismatch, build_schema, columns_of, label_fault
from apps.registry.models import SEMANTIC_PATTERN, ModelVersion, RegisteredModel
from apps.registry.onnx_graph import Graph, NotOnnx, read_graph
from contracts.declaration import Declaration
from contracts.schema import ModelSchema

log = structlog.get_logger(__name__)
MLMODEL = "MLmodel"
MAX_ARTIFACT = 20 * 1024**3
EXTRA_BACKGROUND = f"extra_files/{background.FILE}"
MAX_SAMPLE_ROWS = 100_000
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class _Logged:
    """What MLflow holds about a model, read and checked."""

    source: Source
    mlmodel: MlModel
    copied: Copied
    graph: Graph
    example: list[dict[str, Any]]
    sample: list[dict[str, Any]] | None

    @property
    def tags(self) -> Mapping[str, str]:
        return self.source.run.tags if self.source.run else {}


def import_version(
    *,
    actor: Principal,
    model: RegisteredModel,
    run_id: str | None = None,
    artifact_path: str = "model",
    mlflow_name: str | None = None,
    mlflow_version: str | None = None,
    semantic_version: str = "",
    label_map: Mapping[str, str] | None = None,
    decision_threshold: float | None = None,
    preprocessing: Sequence[Mapping[str, Any]] | None = None,
    columns: Sequence[str] | None = None,
    golden: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Register what a run logged, or what a version of MLflow's registry points to.

    A label map or threshold that is not given is taken from the run's tags `label_map` (JSON) and
    `decision_threshold`; preprocessing, columns and golden rows from the model's metadata
    (`contracts.declaration`). Raises PermissionDenied, MlflowUnavailable, ArtifactStoreUnavailable,
    AlreadyExists, SourceNotFound, UnreadableArtifact, SchemaMismatch, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    _require_semantic(model, semantic_version)
    threshold = _threshold(decision_threshold)
    with TemporaryFile() as file:
        with MlflowClient(settings.CONFIG.mlflow_tracking_uri) as client:
            source = _source(client, run_id, artifact_path, mlflow_name, mlflow_version)
            logged = _fetch(client, source, file)
        labels = _labels(label_map, logged.tags)
        given = {"preprocessing": preprocessing, "columns": columns, "golden": golden}
        declaration = _declaration(given, logged)
        version = _draft(model, actor, logged, labels, threshold, declaration)
        version.semantic_version = semantic_version
        return _publish(actor, version, file, _background(logged, version.schema()))


def _require_semantic(model: RegisteredModel, semantic_version: str) -> None:
    if not semantic_version:
        return
    if len(semantic_version) > 60 or not re.fullmatch(SEMANTIC_PATTERN, semantic_version):
        raise Invalid('must look like "2.0.1"', field="semantic_version")
    if model.versions.filter(semantic_version=semantic_version).exists():
        raise _taken(model, semantic_version)


def _taken(model: RegisteredModel, semantic_version: str) -> AlreadyExists:
    said = f"{model.name} has a version {semantic_version!r} already"
    return AlreadyExists(said, field="semantic_version")


def _threshold(value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise Invalid("must be between 0 and 1", field="decision_threshold")
    return value


def _source(
    client: MlflowClient,
    run_id: str | None,
    artifact_path: str,
    name: str | None,
    version: str | None,
) -> Source:
    if run_id and not (name or version):
        return client.model_of_run(run_id, artifact_path.strip("/"))
    if name and version and not run_id:
        return client.registered_version(name, version)
    raise Invalid("give either run_id, or mlflow_name and mlflow_version", field="run_id")


def _fetch(client: MlflowClient, source: Source, file: BinaryIO) -> _Logged:
    files = {path.rpartition("/")[2]: size for path, size in client.files(source).items()}
    if MLMODEL not in files:
        raise SourceNotFound(f"there is no model at {source.uri}", field="artifact_path")
    try:
        mlmodel = parse_mlmodel(client.text(source, MLMODEL))
        _require_file(mlmodel.data, files)
        copied = client.copy(source, mlmodel.data, file, limit=MAX_ARTIFACT)
        graph = read_graph(file, size=copied.size)
    except (UnreadableModel, NotOnnx) as error:
        raise UnreadableArtifact(str(error), field="artifact_path") from error
    example = client.text(source, mlmodel.example_path) if mlmodel.example_path in files else ""
    rows, sample = _example(example, mlmodel), _sample(client, source, mlmodel, files)
    return _Logged(source, mlmodel, copied, graph, rows, sample)


def _require_file(name: str, files: Mapping[str, int]) -> None:
    if name not in files:
        raise NotOnnx(f"the MLmodel file names {name!r}, which is not there")
    if files[name] > MAX_ARTIFACT:
        raise NotOnnx(f"{name} is larger than {MAX_ARTIFACT} bytes")


def _example(text: str, mlmodel: MlModel) -> list[dict[str, Any]]:
    return parse_example(text, _column_names(mlmodel)) if text else []


def _sample(
    client: MlflowClient, source: Source, mlmodel: MlModel, files: Mapping[str, int]
) -> list[dict[str, Any]] | None:
    """The rows of the background sample, beside the model or among its extra files."""
    extra = next((path for path in mlmodel.extra_files if path == EXTRA_BACKGROUND), None)
    place = background.FILE if background.FILE in files else extra
    if place is None:
        return None
    return parse_example(client.text(source, place), _column_names(mlmodel), MAX_SAMPLE_ROWS)


def _column_names(mlmodel: MlModel) -> list[str]:
    try:
        columns = columns_of(mlmodel.signature.get("inputs") or [])
    except Mismatch as error:
        raise SchemaMismatch(str(error), field="artifact_path") from error
    return [column.name for column in columns]


def _background(logged: _Logged, schema: ModelSchema) -> Background | None:
    try:
        return background.background_of(schema, logged.sample, logged.example)
    except Mismatch as error:
        raise SchemaMismatch(str(error), field="artifact_path") from error


def _labels(given: Mapping[str, str] | None, tags: Mapping[str, str]) -> dict[str, str]:
    if given is not None:
        return dict(given)
    try:
        return msgspec.json.decode(tags.get("label_map", "{}").encode(), type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise Invalid(
            f"the run's tag label_map makes no sense: {error}", field="label_map"
        ) from error


def _draft(
    model: RegisteredModel,
    actor: Principal,
    logged: _Logged,
    labels: dict[str, str],
    threshold: float | None,
    declaration: Declaration,
) -> ModelVersion:
    """The version without number and place."""
    schema = _schema(logged, labels, declaration)
    run = logged.source.run
    inputs = msgspec.to_builtins(schema)
    output = inputs.pop("output")
    return ModelVersion(
        model=model,
        framework=logged.mlmodel.framework,
        source=logged.source.uri[:500],
        run_id=run.run_id if run else "",
        artifact_digest=logged.copied.digest,
        size_bytes=logged.copied.size,
        signature=logged.mlmodel.signature,
        input_schema=inputs,
        output_schema=output,
        declared=msgspec.to_builtins(declaration),
        example=_without_nan(logged.example),
        label_map=labels,
        decision_threshold=_threshold_of(threshold, logged.tags),
        metrics=dict(run.metrics) if run else {},
        parameters=dict(run.parameters) if run else {},
        tags={k: v for k, v in logged.tags.items() if not k.startswith("mlflow.")},
        trained_at=_trained_at(logged),
        data_lineage=_data_lineage(run),
        code_lineage=_code_lineage(logged.tags),
        created_by=actor.key,
        author=actor.human_key,
    )


def _declaration(given: Mapping[str, Any], logged: _Logged) -> Declaration:
    present = {name: value for name, value in given.items() if value is not None}
    try:
        return read_declaration(present, logged.mlmodel.declared)
    except Undeclarable as error:
        raise Invalid(str(error), field=error.field) from error


def _schema(logged: _Logged, labels: Mapping[str, str], declaration: Declaration) -> ModelSchema:
    signature = logged.mlmodel.signature
    try:
        schema = build_schema(signature, logged.graph, labels=labels, declaration=declaration)
    except Mismatch as error:
        field = "preprocessing" if declaration.preprocessing else "artifact_path"
        raise SchemaMismatch(str(error), field=field) from error
    fault = label_fault(labels, schema.output)
    if fault:
        raise Invalid(fault, field="label_map")
    return schema


def _threshold_of(given: float | None, tags: Mapping[str, str]) -> float:
    if given is not None:
        return given
    try:
        found = float(tags.get("decision_threshold", DEFAULT_THRESHOLD))
    except ValueError:
        found = math.nan
    _threshold(found)
    return found


def _without_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON in Postgres knows no NaN: a missing value is null."""
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]


def _trained_at(logged: _Logged) -> datetime | None:
    run = logged.source.run
    named = parse_time(logged.tags.get("trained_at", ""))
    if named or logged.mlmodel.created_at:
        return named or logged.mlmodel.created_at
    if run is None or run.end_time is None:
        return None
    return datetime.fromtimestamp(run.end_time / 1000, UTC)


def _data_lineage(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    found: dict[str, Any] = {"datasets": [msgspec.to_builtins(each) for each in run.datasets]}
    if "data_digest" in run.tags:
        found["digest"] = run.tags["data_digest"]
    return found


def _code_lineage(tags: Mapping[str, str]) -> dict[str, str]:
    names = {
        "commit": "mlflow.source.git.commit",
        "branch": "mlflow.source.git.branch",
        "repository": "mlflow.source.git.repoURL",
        "entry_point": "mlflow.source.name",
        "author": "mlflow.user",
    }
    return {ours: tags[theirs] for ours, theirs in names.items() if theirs in tags}


def _publish(
    actor: Principal, version: ModelVersion, file: BinaryIO, sample: Background | None
) -> ModelVersion:
    store = ArtifactStore.configured()
    version.number = _take_number(version.model)
    place = f"artifacts/{version.model.name}/{version.number}"
    key = f"{place}/model.onnx"
    version.artifact_uri = store.uri(key)
    with ExitStack() as undo:
        undo.callback(_discard, store, key)
        store.upload(file, key)
        if sample is not None:
            sample_key = f"{place}/{background.FILE}"
            undo.callback(_discard, store, sample_key)
            _keep_sample(store, version, sample, sample_key)
        try:
            _insert(actor, version)
        except IntegrityError as error:
            raise _taken(version.model, version.semantic_version) from error
        undo.pop_all()
    log.info("version.registered", version=version.version_key, digest=version.artifact_digest)
    return version


def _keep_sample(store: ArtifactStore, version: ModelVersion, sample: Background, key: str) -> None:
    store.upload(BytesIO(sample.body), key)
    version.background_uri = store.uri(key)
    version.background_digest = sample.digest
    version.background_size = len(sample.body)
    version.background_rows = sample.rows


@transaction.atomic
def _take_number(model: RegisteredModel) -> int:
    locked = RegisteredModel.objects.select_for_update(no_key=True).get(pk=model.pk)
    locked.last_number += 1
    locked.save(update_fields=["last_number"])
    return locked.last_number


@transaction.atomic
def _insert(actor: Principal, version: ModelVersion) -> None:
    version.save(force_insert=True)
    events.record(
        actor=actor,
        verb="version.registered",
        object_key=version.key,
        team_key=version.model.team.key,
        after={
            "number": version.number,
            "semantic_version": version.semantic_version,
            "source": version.source,
            "artifact_digest": version.artifact_digest,
            "content_digest": version.content_digest(),
        },
    )


def _discard(store: ArtifactStore, key: str) -> None:
    """Best effort: an object that no row names is harmless."""
    try:
        store.delete(key)
    except ArtifactStoreUnavailable as error:
        log.warning("artifact.left_behind", key=key, error=str(error))
