"""Sweeps: looking at what MLflow has, model by model, and doing what follows.

A sweep of changes looks at every model's aliases, and at the versions of those that MLflow says
were changed; a full one at all versions, and at the contents of some. A worker holds the mirror by
a lease and a fencing number; a sweep that broke off goes on at the page where it was.
"""

from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from random import random

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from apps.events.errors import DomainError
from apps.mirror.answers import Registered
from apps.mirror.base import base_of, wanted_aliases
from apps.mirror.calls import RegistryClient, connect
from apps.mirror.content import digest_there
from apps.mirror.errors import MlflowUnavailable, Superseded
from apps.mirror.models import (
    Difference,
    DifferenceKind,
    Mirror,
    MirroredModel,
    MirroredVersion,
)
from apps.mirror.reconcile import TheirModel, TheirVersion, content, renames
from apps.mirror.schedule import wait
from apps.mirror.services.applying import apply, hold
from apps.mirror.services.finding import found, resolve
from apps.notices import outbound
from apps.registry.mlflow.mlmodel import UnreadableModel
from apps.registry.models import VersionStatus
from apps.registry.promotion import UNAPPROVED_STAGES
from apps.registry.services.leases import renewed

log = structlog.get_logger(__name__)
TASK = "apps.mirror.tasks.sweep"
LEASE = timedelta(seconds=60)
RENEWAL_S = 15.0
VERIFIED_AT_ONCE = 20
# What is wrong with MLflow as a whole, not with one of its models.
AWAY = (MlflowUnavailable, outbound.Refused)


def begin_sweeps(*, now: datetime) -> int:
    """Enqueue a sweep of every mirror whose time has come; how many."""
    due = list(Mirror.objects.to_sweep(now=now).values_list("pk", flat=True)[:100])
    for pk in due:
        current_app.send_task(
            TASK, kwargs={"id": pk}, queue="default", retry=False, ignore_result=True
        )
    return len(due)


def sweep(*, mirror_id: int) -> bool:
    """Make or go on with the sweep of a mirror whose time has come; whether it was made.

    MLflow away holds this mirror alone, longer each time.
    """
    mirror = _claim(mirror_id, now=timezone.now())
    if mirror is None:
        return False
    try:
        with renewed(partial(_renew, mirror), every_s=RENEWAL_S), connect(mirror) as client:
            _models(client, mirror)
            if mirror.is_full:
                _missing(client, mirror)
                _verify(client, mirror)
    except Superseded:
        log.warning("mirror.superseded", mirror=mirror.pk)
        return False
    except DomainError as error:
        _postpone(mirror, error)
        return False
    _finish(mirror)
    return True


def _claim(mirror_id: int, *, now: datetime) -> Mirror | None:
    free = Mirror.objects.to_sweep(now=now).filter(pk=mirror_id)
    if not free.update(attempts=F("attempts") + 1, lease_expires_at=now + LEASE):
        return None
    mirror = Mirror.objects.select_related("team", "owner").get(pk=mirror_id)
    if mirror.sweep_started_at is None:
        rare = timedelta(seconds=settings.CONFIG.mirror_full_sweep_s)
        last = mirror.fully_swept_at
        mirror.is_full = last is None or now - last >= rare
        mirror.sweep, mirror.sweep_started_at = mirror.sweep + 1, now
        mirror.page_token, mirror.models_seen = "", 0
        _note(mirror, "is_full", "sweep", "sweep_started_at", "page_token", "models_seen")
    return mirror


def _mine(mirror: Mirror) -> QuerySet[Mirror]:
    return Mirror.objects.filter(pk=mirror.pk, attempts=mirror.attempts)


def _renew(mirror: Mirror) -> bool:
    return bool(_mine(mirror).update(lease_expires_at=timezone.now() + LEASE))


def _note(mirror: Mirror, *fields: str) -> None:
    """Write fields of the mirror, unless another worker has it. Raises Superseded."""
    if not _mine(mirror).update(**{name: getattr(mirror, name) for name in fields}):
        raise Superseded


def _models(client: RegistryClient, mirror: Mirror) -> None:
    while True:
        page = client.models(mirror.page_token)
        for registered in page.registered_models:
            fits = fnmatchcase(registered.name, mirror.pattern or "*")
            if fits and not registered.is_prompt:
                look_at(client, mirror, registered)
        mirror.page_token = page.next_page_token
        mirror.models_seen += len(page.registered_models)
        _note(mirror, "page_token", "models_seen")
        if not mirror.page_token:
            return


def look_at(client: RegistryClient, mirror: Mirror, registered: Registered) -> None:
    """One model: read what MLflow has of it and apply it; what is refused is shown beside it."""
    mirrored = _mirrored(client, mirror, registered)
    base = base_of(mirrored)
    is_newer = registered.last_updated_timestamp > mirrored.updated_ms
    closely = mirror.is_full or is_newer or base is None
    theirs = _theirs(client, mirrored, registered, closely=closely)
    problem, applied = "", False
    try:
        applied = apply(mirror, mirrored, theirs, base)
    except AWAY:
        raise
    except DomainError as error:
        problem = error.detail[:500]
        log.warning("mirror.model_refused", mirror=mirror.pk, name=mirrored.name, detail=problem)
    changed: dict[str, object] = {"problem": problem, "seen_sweep": mirror.sweep}
    if applied:
        changed |= {"updated_ms": registered.last_updated_timestamp, "gone_at": None}
    MirroredModel.objects.filter(pk=mirrored.pk).update(**changed)


def _mirrored(client: RegistryClient, mirror: Mirror, registered: Registered) -> MirroredModel:
    """The row of a model: under its name, or under the one that it was renamed from."""
    rows = MirroredModel.objects.select_related("mirror__team", "model")
    known = rows.filter(mirror=mirror, name=registered.name).first()
    if known is not None:
        return known
    moment = registered.creation_timestamp
    alike = rows.filter(mirror=mirror, created_ms=moment, gone_at__isnull=True)
    gone = {row.name: row.created_ms for row in alike if client.model(row.name) is None}
    for old, new in renames(gone, {registered.name: moment}).items():
        if new == registered.name:
            return alike.get(name=old)
    made = MirroredModel.objects.create(mirror=mirror, name=registered.name, created_ms=moment)
    return rows.get(pk=made.pk)


def _theirs(
    client: RegistryClient, mirrored: MirroredModel, registered: Registered, *, closely: bool
) -> TheirModel:
    """A model as MLflow has it; aliases are resolved one by one."""
    name = registered.name
    names = {one.alias for one in registered.aliases} | set(mirrored.aliases)
    if mirrored.model_id is not None:
        names |= set(wanted_aliases(mirrored))
    resolved = {alias: client.alias(name, alias) for alias in sorted(names)}
    # An alias that is gone may have gone with its version.
    closely = closely or any(not resolved[alias] for alias in mirrored.aliases)
    versions = list(client.versions(name)) if closely else []
    return TheirModel(
        name=name,
        description=registered.description,
        tags=registered.tag_map,
        aliases={alias: number for alias, number in resolved.items() if number},
        versions=[one.theirs() for one in versions if one.status == "READY"],
        numbers=frozenset(int(one.version) for one in versions) if closely else None,
    )


def _missing(client: RegistryClient, mirror: Mirror) -> None:
    """Models that a full sweep did not come by: ask for each, and believe only that answer."""
    rows = MirroredModel.objects.filter(mirror=mirror, gone_at__isnull=True)
    for mirrored in rows.filter(~Q(seen_sweep=mirror.sweep)).select_related(
        "mirror__team", "model"
    ):
        base = base_of(mirrored)
        if client.model(mirrored.name) is None:
            apply(mirror, mirrored, None, base)


def _verify(client: RegistryClient, mirror: Mirror) -> None:
    """Read contents again that were not read for a while: first those that may serve."""
    before = timezone.now() - timedelta(seconds=settings.CONFIG.mirror_verify_s)
    rows = MirroredVersion.objects.filter(
        Q(verified_at__isnull=True) | Q(verified_at__lte=before),
        mirrored__mirror=mirror,
        gone_at__isnull=True,
        version__status=VersionStatus.READY.value,
    ).select_related("mirrored__mirror__team", "version__model")
    deleted = Difference.objects.open().filter(kind=DifferenceKind.VERSION_DELETED.value)
    rows = rows.exclude(pk__in=deleted.values("mirrored_version"))
    ready = rows.order_by(F("verified_at").asc(nulls_first=True), "-pk")
    approved = ready.exclude(version__stage__in=sorted(UNAPPROVED_STAGES))
    chosen = {row.pk: row for row in [*approved[:VERIFIED_AT_ONCE], *ready[:VERIFIED_AT_ONCE]]}
    for row in list(chosen.values())[:VERIFIED_AT_ONCE]:
        verify(client, mirror, row)


def verify(client: RegistryClient, mirror: Mirror, row: MirroredVersion) -> None:
    """Read the content of one version there and compare it with what was taken over."""
    try:
        taken, there = digest_there(client, row)
    except AWAY:
        raise
    except (DomainError, UnreadableModel) as error:
        MirroredVersion.objects.filter(pk=row.pk).update(
            problem=str(error)[:500], verified_at=timezone.now()
        )
        return
    MirroredVersion.objects.filter(pk=row.pk).update(
        digest=row.digest or taken, verified_at=timezone.now(), problem=""
    )
    judge_content(mirror, row, there)


@transaction.atomic
def judge_content(mirror: Mirror, row: MirroredVersion, there: str) -> None:
    """Open or resolve what the digest of the content there says about a version."""
    mirrored = hold(mirror, row.mirrored)
    row.refresh_from_db()
    base = base_of(mirrored, [row.number])
    if base is None:
        return
    here = base.versions[row.number]
    theirs = TheirVersion(
        number=here.number,
        source=here.source,
        run_id=here.run_id,
        digest=there,
    )
    now = timezone.now()
    differ = content(theirs, here)
    if differ is not None:
        found(mirrored, differ, now=now)
        return
    rows = mirrored.differences.open().filter(
        kind=DifferenceKind.ARTIFACT_CHANGED.value, subject=str(row.number)
    )
    resolve(rows, reason="MLflow has again what was taken over", now=now)


def _postpone(mirror: Mirror, error: DomainError) -> None:
    failures = mirror.failures + 1
    now = timezone.now()
    _mine(mirror).update(
        failures=failures,
        error=error.detail[:500],
        due_at=now + wait(failures, jitter=random()),  # noqa: S311 - spreads load, keeps no secret
        lease_expires_at=None,
    )
    log.warning("mirror.postponed", mirror=mirror.pk, failures=failures, detail=error.detail)


def _finish(mirror: Mirror) -> None:
    now = timezone.now()
    every = timedelta(seconds=settings.CONFIG.mirror_poll_s)
    changed: dict[str, object] = {"swept_at": now, "sweep_started_at": None, "page_token": ""}
    if mirror.is_full:
        changed["fully_swept_at"] = now
    _mine(mirror).update(**changed, failures=0, error="", due_at=now + every, lease_expires_at=None)
    log.info("mirror.swept", mirror=mirror.pk, full=mirror.is_full, models=mirror.models_seen)
