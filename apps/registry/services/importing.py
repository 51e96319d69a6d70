"""Importing a version from MLflow: what can be refused at once is refused before it is registered.

Everything that text tells (the run, the MLmodel file, the declaration) is looked at first. Then the
version is registered, and a worker takes its artifact over (`taking_over`).
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from apps.accounts.access import Permission, Principal, authorise
from apps.registry.errors import AlreadyExists, Invalid, TakeoverFailed
from apps.registry.intake.describing import (
    declaration_of,
    labels_of,
    require_threshold,
    threshold_of,
)
from apps.registry.intake.logged import read_logged
from apps.registry.intake.order import Order
from apps.registry.mlflow.client import MlflowClient, Source
from apps.registry.models import (
    SEMANTIC_PATTERN,
    ModelVersion,
    RegisteredModel,
    Takeover,
    VersionStatus,
)
from apps.registry.services.taking_over import register_version

LOOK_EVERY_S = 0.1


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
    """Register what a run logged, or what a version of MLflow's registry points to; pending.

    A label map or threshold that is not given is taken from the run's tags `label_map` (JSON) and
    `decision_threshold`; preprocessing, columns and golden rows from the model's metadata
    (`contracts.declaration`). Raises PermissionDenied, MlflowUnavailable, AlreadyExists,
    SourceNotFound, UnreadableArtifact, SchemaMismatch, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    require_semantic(model, semantic_version)
    if decision_threshold is not None:
        require_threshold(decision_threshold)
    with MlflowClient(settings.CONFIG.mlflow_tracking_uri) as client:
        source = _source(client, run_id, artifact_path, mlflow_name, mlflow_version)
        logged = read_logged(client, source)
    order = Order(
        source=source.uri,
        run_id=source.run.run_id if source.run else "",
        label_map=None if label_map is None else dict(label_map),
        decision_threshold=decision_threshold,
        preprocessing=None if preprocessing is None else list(preprocessing),
        columns=None if columns is None else list(columns),
        golden=None if golden is None else dict(golden),
    )
    labels_of(logged, order)
    threshold_of(decision_threshold, logged.tags)
    declaration_of(logged, order)
    return register_version(
        actor=actor,
        model=model,
        source=source.uri,
        run_id=order.run_id,
        semantic_version=semantic_version,
        order=order,
    )


def await_version(version: ModelVersion, *, wait_s: float) -> ModelVersion:
    """The version once it is ready, or as it is after `wait_s` seconds.

    Raises TakeoverFailed, naming the field of the request at fault, when it has failed by then.
    """
    deadline = time.monotonic() + wait_s
    while version.status == VersionStatus.PENDING and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        version.refresh_from_db()
    if version.status == VersionStatus.FAILED:
        field = Takeover.objects.get(version=version).fault.get("field")
        raise TakeoverFailed(f"{version} has failed: {version.status_detail}", field=field or None)
    return version


def require_semantic(model: RegisteredModel, semantic_version: str) -> None:
    """Raise Invalid or AlreadyExists unless the model can have such a version."""
    if not semantic_version:
        return
    if len(semantic_version) > 60 or not re.fullmatch(SEMANTIC_PATTERN, semantic_version):
        raise Invalid('must look like "2.0.1"', field="semantic_version")
    if model.versions.filter(semantic_version=semantic_version).exists():
        said = f"{model.name} has a version {semantic_version!r} already"
        raise AlreadyExists(said, field="semantic_version")


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
