"""Taking over artifacts: a version is registered at once, its artifact follows.

`register_version` writes a pending version with its number and its event. A worker then takes the
artifact over: ready, or failed with the reason. It holds the work by a lease that it renews and by
a fencing number (`attempts`), as in `validating`; what it puts into the store lies where no other
attempt writes, so that a worker that comes back late can spoil nothing.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog
from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.events import services as events
from apps.registry.errors import (
    AlreadyExists,
    ArtifactStoreUnavailable,
    Conflict,
    DomainError,
    Invalid,
    MlflowUnavailable,
    TakeoverBroken,
)
from apps.registry.intake.bringing import TAKEN, bring_in
from apps.registry.intake.order import Order
from apps.registry.intake.progress import Progress, Superseded
from apps.registry.models import (
    ModelVersion,
    ReferenceProfile,
    RegisteredModel,
    Takeover,
    VersionStatus,
)
from apps.registry.services.leases import renewed
from apps.registry.services.staging import lock_version

log = structlog.get_logger(__name__)
TASK = "apps.registry.tasks.take_over"
WORKER = system("takeover")
QUEUE_GRACE = timedelta(seconds=60)
LEASE = timedelta(seconds=60)
RENEWAL_S = 15.0
AGAIN_AFTER = timedelta(seconds=20)
GIVEN_UP_AFTER = timedelta(hours=1)
MAX_ATTEMPTS = 3
MAX_SOURCE = 500


def register_version(
    *,
    actor: Principal,
    model: RegisteredModel,
    source: str,
    run_id: str = "",
    semantic_version: str = "",
    description: str = "",
    tags: Mapping[str, str] | None = None,
    order: Order | None = None,
    derived_from: ModelVersion | None = None,
) -> ModelVersion:
    """A pending version, whose artifact a worker takes over from `source` (an address in MLflow).

    `order` says more than an address can; by default everything else is read from what was logged.
    Raises PermissionDenied, AlreadyExists, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    if not source or len(source) > MAX_SOURCE:
        raise Invalid(f"needs 1 to {MAX_SOURCE} characters", field="source")
    version = ModelVersion(
        model=model,
        semantic_version=semantic_version,
        description=description,
        tags=dict(tags or {}),
        source=source,
        run_id=run_id[:64],
        status=VersionStatus.PENDING.value,
        status_detail="waiting for a worker",
        derived_from=derived_from,
        created_by=actor.key,
        author=actor.human_key,
    )
    try:
        _insert(actor, version, order or Order(source=source, run_id=run_id))
    except IntegrityError as error:
        said = f"{model.name} has a version {semantic_version!r} already"
        raise AlreadyExists(said, field="semantic_version") from error
    log.info("version.registered", version=version.version_key, source=source)
    return version


@transaction.atomic
def _insert(actor: Principal, version: ModelVersion, order: Order) -> None:
    locked = RegisteredModel.objects.select_for_update(no_key=True).get(pk=version.model.pk)
    locked.last_number += 1
    locked.save(update_fields=["last_number"])
    version.number = locked.last_number
    version.save(force_insert=True)
    takeover = Takeover.objects.create(
        version=version,
        order=msgspec.to_builtins(order),
        lease_expires_at=timezone.now() + QUEUE_GRACE,
    )
    after = {
        "number": version.number,
        "semantic_version": version.semantic_version,
        "source": version.source,
    }
    _record(actor, "version.registered", version, after=after)
    transaction.on_commit(partial(_enqueue, takeover.pk), robust=True)


def _record(
    actor: Principal,
    verb: str,
    version: ModelVersion,
    *,
    after: Mapping[str, object],
    reason: str = "",
) -> None:
    events.record(
        actor=actor,
        verb=verb,
        object_key=version.key,
        team_key=version.model.team.key,
        after=dict(after),
        reason=reason,
    )


def _enqueue(takeover_id: int) -> None:
    """Without a retry: a queue that is away is caught up with by `resume_takeovers`."""
    current_app.send_task(
        TASK, kwargs={"id": takeover_id}, queue="default", retry=False, ignore_result=True
    )


def take_over(*, takeover_id: int) -> None:
    """Bring the artifact of a pending version in. Does nothing if another worker has it."""
    takeover = _claim(takeover_id, now=timezone.now())
    if takeover is None:
        return
    try:
        if takeover.attempts > MAX_ATTEMPTS:
            raise TakeoverBroken(f"the work broke off {MAX_ATTEMPTS} times")
        with renewed(partial(_renew, takeover), every_s=RENEWAL_S):
            order = msgspec.convert(takeover.order, Order)
            reference = bring_in(
                takeover.version, order, takeover.attempts, Progress(_teller(takeover))
            )
    except Superseded:
        log.warning("takeover.superseded", version=takeover.version.version_key)
    except (MlflowUnavailable, ArtifactStoreUnavailable) as error:
        _postpone(takeover, error)
    except DomainError as error:
        _fail(takeover, error)
    else:
        _finish(takeover, reference)


def resume_takeovers(*, now: datetime) -> int:
    """Enqueue what no worker took, or what a worker left behind; how many."""
    due = list(Takeover.objects.unheld(now=now).values_list("pk", flat=True)[:100])
    for pk in due:
        _enqueue(pk)
    return len(due)


@transaction.atomic
def cancel_takeover(*, actor: Principal, version: ModelVersion, reason: str) -> ModelVersion:
    """Give the taking over up: the version failed. Raises PermissionDenied or Conflict."""
    authorise(actor, Permission.REGISTER, team_key=version.model.team.key)
    if not reason.strip():
        raise Invalid("say why", field="reason")
    locked = lock_version(version)
    ended = (
        Takeover.objects.open()
        .filter(version=locked)
        .update(finished_at=timezone.now(), fault={"code": "cancelled", "field": ""})
    )
    if not ended:
        raise Conflict(f"nothing is being taken over for {locked}: it is {locked.status}")
    _set_failed(actor, locked, f"cancelled by {actor.display}: {reason}")
    return locked


def _claim(takeover_id: int, *, now: datetime) -> Takeover | None:
    free = Takeover.objects.open().filter(pk=takeover_id)
    untouched = free.filter(attempts=0)
    claimed = (untouched | free.filter(lease_expires_at__lte=now)).update(
        attempts=F("attempts") + 1,
        lease_expires_at=now + LEASE,
        started_at=Coalesce("started_at", now),
    )
    if not claimed:
        return None
    rows = Takeover.objects.select_related("version__model__team", "version__derived_from__model")
    return rows.get(pk=takeover_id)


def _mine(takeover: Takeover) -> QuerySet[Takeover]:
    return Takeover.objects.open().filter(pk=takeover.pk, attempts=takeover.attempts)


def _renew(takeover: Takeover) -> bool:
    return bool(_mine(takeover).update(lease_expires_at=timezone.now() + LEASE))


def _teller(takeover: Takeover) -> Callable[[str, int, int], bool]:
    def tell(step: str, done: int, total: int) -> bool:
        changed = {"step": step, "done_bytes": done, "total_bytes": total}
        if not _mine(takeover).update(**changed):
            return False
        pending = ModelVersion.objects.filter(
            pk=takeover.version_id, status=VersionStatus.PENDING.value
        )
        pending.exclude(status_detail=step).update(status_detail=step)
        return True

    return tell


def _postpone(takeover: Takeover, error: DomainError) -> None:
    """Something is away: the next `resume_takeovers` takes it up; after an hour it has failed."""
    now = timezone.now()
    if now - takeover.created_at > GIVEN_UP_AFTER:
        _fail(takeover, error)
        return
    step = f"waiting: {error.detail}"[:200]
    _mine(takeover).update(
        lease_expires_at=now + AGAIN_AFTER, attempts=F("attempts") - 1, step=step
    )
    ModelVersion.objects.filter(pk=takeover.version_id, status=VersionStatus.PENDING.value).update(
        status_detail=step
    )
    log.warning("takeover.postponed", version=takeover.version.version_key, error=error.detail)


@transaction.atomic
def _fail(takeover: Takeover, error: DomainError) -> None:
    version = lock_version(takeover.version)
    fault = {"code": error.code, "field": error.field or ""}
    if _mine(takeover).update(finished_at=timezone.now(), fault=fault):
        _set_failed(WORKER, version, error.detail)


def _set_failed(actor: Principal, version: ModelVersion, detail: str) -> None:
    version.status, version.status_detail = VersionStatus.FAILED.value, detail
    version.updated_at = timezone.now()
    version.save(update_fields=["status", "status_detail", "updated_at"])
    _record(actor, "version.failed", version, after={"status": version.status}, reason=detail)
    log.info("version.failed", version=version.version_key, detail=detail)


@transaction.atomic
def _finish(takeover: Takeover, reference: ReferenceProfile | None) -> None:
    """Write what was brought in, unless another attempt or a cancellation came first."""
    row = lock_version(takeover.version)
    if not _mine(takeover).update(finished_at=timezone.now(), step="", fault={}):
        log.warning("takeover.superseded", version=row.version_key)
        return
    version = takeover.version
    version.tags = {**version.tags, **row.tags}
    version.status, version.status_detail = VersionStatus.READY.value, ""
    version.updated_at = timezone.now()
    version.save(update_fields=[*TAKEN, "tags", "status", "status_detail", "updated_at"])
    if reference is not None:
        reference.save(force_insert=True)
    after = {
        "artifact_digest": version.artifact_digest,
        "content_digest": version.content_digest(),
        "framework": version.framework,
    }
    _record(WORKER, "version.ready", version, after=after)
    log.info("version.ready", version=version.version_key, digest=version.artifact_digest)
