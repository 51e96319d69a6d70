"""From what was logged to the fields of a version."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from apps.registry.declaration import Undeclarable, read_declaration
from apps.registry.errors import Invalid, SchemaMismatch
from apps.registry.intake.logged import Logged
from apps.registry.intake.order import Order
from apps.registry.mlflow.answers import Run
from apps.registry.mlflow.mlmodel import parse_time
from apps.registry.model_schema import Mismatch, build_schema, label_fault
from apps.registry.models import ModelVersion
from apps.registry.onnx_graph import Graph
from contracts.declaration import Declaration
from contracts.schema import ModelSchema

DEFAULT_THRESHOLD = 0.5
# An address in MLflow's own registry, which says nothing to whoever asks ours.
OF_A_REGISTRY = re.compile(r"models:/[^/]+/[^/]+")


def describe(version: ModelVersion, logged: Logged, order: Order) -> None:
    """Fill in all that does not depend on the artifact. Raises Invalid naming the field."""
    run = logged.source.run
    version.framework = logged.mlmodel.framework
    version.run_id = (run.run_id if run else order.run_id)[:64]
    version.signature = logged.mlmodel.signature
    version.declared = msgspec.to_builtins(declaration_of(logged, order))
    version.example = without_nan(logged.example)
    version.label_map = labels_of(logged, order)
    version.decision_threshold = threshold_of(order.decision_threshold, logged.tags)
    version.metrics = dict(run.metrics) if run else {}
    version.parameters = dict(run.parameters) if run else {}
    version.tags = {k: v for k, v in logged.tags.items() if not k.startswith("mlflow.")}
    version.trained_at = _trained_at(logged)
    version.data_lineage = _data_lineage(run)
    version.code_lineage = _code_lineage(logged.tags)
    if not version.download_uri and OF_A_REGISTRY.fullmatch(version.source):
        version.download_uri = logged.source.artifact_uri[:500]


def fit_schema(version: ModelVersion, graph: Graph) -> ModelSchema:
    """Give the version the schema of its signature and `graph`.

    Raises SchemaMismatch, or Invalid naming label_map.
    """
    declaration = version.declaration()
    try:
        schema = build_schema(
            version.signature, graph, labels=version.label_map, declaration=declaration
        )
    except Mismatch as error:
        field = "preprocessing" if declaration.preprocessing else "artifact_path"
        raise SchemaMismatch(str(error), field=field) from error
    fault = label_fault(version.label_map, schema.output)
    if fault:
        raise Invalid(fault, field="label_map")
    inputs = msgspec.to_builtins(schema)
    version.output_schema = inputs.pop("output")
    version.input_schema = inputs
    return schema


def labels_of(logged: Logged, order: Order) -> dict[str, str]:
    """The label map that was given, else the run's tag. Raises Invalid."""
    if order.label_map is not None:
        return dict(order.label_map)
    try:
        found = logged.tags.get("label_map", "{}")
        return msgspec.json.decode(found.encode(), type=dict[str, str])
    except msgspec.MsgspecError as error:
        said = f"the run's tag label_map makes no sense: {error}"
        raise Invalid(said, field="label_map") from error


def declaration_of(logged: Logged, order: Order) -> Declaration:
    """What was given, the rest from the model's metadata. Raises Invalid naming the part."""
    try:
        return read_declaration(order.declared(), logged.mlmodel.declared)
    except Undeclarable as error:
        raise Invalid(str(error), field=error.field) from error


def threshold_of(given: float | None, tags: Mapping[str, str]) -> float:
    """The threshold given, else the run's tag, else a half. Raises Invalid."""
    if given is not None:
        return require_threshold(given)
    try:
        found = float(tags.get("decision_threshold", DEFAULT_THRESHOLD))
    except ValueError:
        found = math.nan
    return require_threshold(found)


def require_threshold(value: float) -> float:
    """The same value. Raises Invalid unless it is a probability."""
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise Invalid("must be between 0 and 1", field="decision_threshold")
    return value


def without_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON in Postgres knows no NaN: a missing value is null."""
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]


def _trained_at(logged: Logged) -> datetime | None:
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
