"""Validations: asked for, examined by a worker, taken up again when the worker died.

A worker holds a validation by a lease that it renews, and a fencing number (`attempts`): a worker
that comes back late finds that its attempt is not the current one; its result is not written.
"""

import tempfile
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog
from celery import current_app
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.events import services as events
from apps.registry.artifacts import ArtifactMissing, ArtifactStore
from apps.registry.errors import ArtifactStoreUnavailable
from apps.registry.examination import Check, examine, missing_artifact
from apps.registry.models import (
    OPEN_VALIDATIONS,
    ModelVersion,
    Validation,
    ValidationState,
)
from apps.registry.services.gathering import gather_evidence
from apps.registry.services.leases import renewed
from apps.registry.services.readiness import require_ready
from apps.registry.services.staging import lock_version

log = structlog.get_logger(__name__)
TASK = "apps.registry.tasks.run_validation"
WORKER = system("validation")
QUEUE_GRACE = timedelta(seconds=60)
LEASE = timedelta(seconds=60)
RENEWAL_S = 15.0
MAX_ATTEMPTS = 3


@transaction.atomic
def start_validation(*, actor: Principal, version: ModelVersion) -> Validation:
    """Have a version examined; the validation under way, if there is one.

    Raises PermissionDenied or VersionNotReady.
    """
    authorise(actor, Permission.VALIDATE, team_key=version.model.team.key)
    locked = lock_version(version)
    require_ready(locked)
    running = locked.validations.filter(state__in=OPEN_VALIDATIONS).first()
    if running is not None:
        return running
    validation = Validation.objects.create(
        version=locked,
        digest=locked.content_digest(),
        requested_by=actor.key,
        lease_expires_at=timezone.now() + QUEUE_GRACE,
    )
    _record(actor, "validation.started", validation)
    transaction.on_commit(partial(_enqueue, validation.pk), robust=True)
    return validation


def _enqueue(validation_id: UUID) -> None:
    """Without a retry: a queue that is away is caught up with by `resume_validations`."""
    current_app.send_task(
        TASK, kwargs={"id": str(validation_id)}, queue="default", retry=False, ignore_result=True
    )


def run_validation(*, validation_id: UUID) -> None:
    """Examine a version and write what was found. Does nothing if another worker has it."""
    now = timezone.now()
    validation = _claim(validation_id, now=now)
    if validation is None:
        return
    if validation.attempts > MAX_ATTEMPTS:
        given_up = f"the examination broke off {MAX_ATTEMPTS} times"
        _finish(validation, [Check("completion", "error", given_up)])
        return
    try:
        with renewed(partial(_renew, validation), every_s=RENEWAL_S):
            gather_evidence(version=validation.version)
            checks = _examine(validation.version)
    except ArtifactStoreUnavailable as error:
        _release(validation)
        log.warning("validation.postponed", id=str(validation.pk), error=str(error))
        return
    _finish(validation, checks)


def resume_validations(*, now: datetime) -> int:
    """Enqueue what no worker took, or what a worker left behind; how many."""
    due = list(Validation.objects.unfinished(now=now).values_list("pk", flat=True)[:100])
    for pk in due:
        _enqueue(pk)
    return len(due)


def _claim(validation_id: UUID, *, now: datetime) -> Validation | None:
    free = Q(state=ValidationState.QUEUED.value) | Q(
        state=ValidationState.RUNNING.value, lease_expires_at__lte=now
    )
    claimed = Validation.objects.filter(free, pk=validation_id).update(
        state=ValidationState.RUNNING.value,
        attempts=F("attempts") + 1,
        lease_expires_at=now + LEASE,
        started_at=Coalesce("started_at", now),
    )
    if not claimed:
        return None
    return Validation.objects.select_related("version__model__team").get(pk=validation_id)


def _examine(version: ModelVersion) -> list[Check]:
    store = ArtifactStore.configured()
    with tempfile.TemporaryDirectory(prefix="switchyard-validation-") as place:
        path = Path(place) / "model.onnx"
        try:
            with path.open("wb") as file:
                digest = store.download(store.key(version.artifact_uri), file)
        except ArtifactMissing as error:
            return missing_artifact(str(error))
        return examine(version, path, found_digest=digest)


def _renew(validation: Validation) -> bool:
    return bool(_mine(validation).update(lease_expires_at=timezone.now() + LEASE))


def _release(validation: Validation) -> None:
    """Give the validation back: the next `resume_validations` takes it up."""
    _mine(validation).update(lease_expires_at=timezone.now(), attempts=F("attempts") - 1)


@transaction.atomic
def _finish(validation: Validation, checks: list[Check]) -> None:
    version = lock_version(validation.version)
    if version.content_digest() != validation.digest:
        changed = "the version changed while it was examined: validate it again"
        checks = [*checks, Check("content", "fail", changed)]
    passed = all(check.verdict == "pass" for check in checks)
    state = ValidationState.PASSED if passed else ValidationState.FAILED
    written = _mine(validation).update(
        state=state.value, checks=[asdict(check) for check in checks], finished_at=timezone.now()
    )
    if not written:
        log.warning("validation.superseded", id=str(validation.pk))
        return
    failing = [check for check in checks if check.verdict != "pass"]
    reason = "; ".join(f"{check.name}: {check.detail}" for check in failing)
    _record(WORKER, f"validation.{state}", validation, reason=reason)
    log.info("validation.finished", id=str(validation.pk), state=state.value)


def _mine(validation: Validation) -> QuerySet[Validation]:
    return Validation.objects.filter(
        pk=validation.pk, state=ValidationState.RUNNING.value, attempts=validation.attempts
    )


def _record(actor: Principal, verb: str, validation: Validation, *, reason: str = "") -> None:
    version = validation.version
    events.record(
        actor=actor,
        verb=verb,
        object_key=version.key,
        team_key=version.model.team.key,
        after={"validation": str(validation.pk), "digest": validation.digest},
        reason=reason,
    )
