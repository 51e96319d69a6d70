"""Telling MLflow: stage and approval as tags, aliases as aliases.

The event log says that something is owed; what is written is how things are when it is written.
So a model's last word always wins, writing twice changes nothing, and an outage of an hour costs
one round. A worker holds the writing of a mirror by a lease and a fencing number.
"""

from datetime import datetime, timedelta
from functools import partial
from random import random

import structlog
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.events.errors import DomainError
from apps.mirror.base import mirrored_as, wanted_aliases, wanted_tags
from apps.mirror.calls import RegistryClient, connect
from apps.mirror.errors import SourceNotFound, Superseded
from apps.mirror.models import DifferenceKind, Mirror, MirroredModel, MirroredVersion
from apps.mirror.reconcile import Differ
from apps.mirror.schedule import wait
from apps.mirror.services.applying import agree
from apps.mirror.services.finding import found, resolve
from apps.registry.services.leases import renewed

log = structlog.get_logger(__name__)
TASK = "apps.mirror.tasks.write_back"
LEASE = timedelta(seconds=60)
RENEWAL_S = 15.0


@transaction.atomic
def owe(*, object_key: str, occurred_at: datetime) -> int:
    """Note that MLflow is to hear of a model, and of a version if one is named; how many mirrors.

    Safe to repeat, in any order.
    """
    since = Coalesce("unwritten_at", Value(occurred_at))
    rows = MirroredModel.objects.filter(mirrored_as(object_key), mirror__writes_back=True)
    concerned = list(rows.filter(gone_at__isnull=True).values_list("pk", flat=True))
    if object_key.startswith("version:"):
        number = int(object_key.rpartition("/")[2])
        MirroredVersion.objects.filter(
            mirrored__in=concerned, version__number=number, gone_at__isnull=True
        ).update(unwritten_at=since)
    return MirroredModel.objects.filter(pk__in=concerned).update(
        unwritten_at=since, write_seq=F("write_seq") + 1
    )


def begin_writing(*, now: datetime) -> int:
    """Enqueue the writing of every mirror that owes something and is not held back; how many."""
    due = list(Mirror.objects.to_write(now=now).values_list("pk", flat=True)[:100])
    for pk in due:
        current_app.send_task(
            TASK, kwargs={"id": pk}, queue="default", retry=False, ignore_result=True
        )
    return len(due)


def write_back(*, mirror_id: int) -> bool:
    """Write what a mirror owes, the oldest first; whether all of it was written.

    MLflow away holds this mirror alone, longer each time.
    """
    mirror = _claim(mirror_id, now=timezone.now())
    if mirror is None:
        return False
    try:
        with renewed(partial(_renew, mirror), every_s=RENEWAL_S), connect(mirror) as client:
            for pk in _owing(mirror):
                _model(client, mirror, pk)
    except Superseded:
        return False
    except DomainError as error:
        _postpone(mirror, error)
        return False
    now = timezone.now()
    _mine(mirror).update(
        write_failures=0, write_error="", written_at=now, write_lease_expires_at=None
    )
    return True


def _claim(mirror_id: int, *, now: datetime) -> Mirror | None:
    free = Mirror.objects.to_write(now=now).filter(pk=mirror_id)
    held = {"write_attempts": F("write_attempts") + 1, "write_lease_expires_at": now + LEASE}
    if not free.update(**held):
        return None
    return Mirror.objects.select_related("team").get(pk=mirror_id)


def _mine(mirror: Mirror) -> QuerySet[Mirror]:
    return Mirror.objects.filter(pk=mirror.pk, write_attempts=mirror.write_attempts)


def _renew(mirror: Mirror) -> bool:
    return bool(_mine(mirror).update(write_lease_expires_at=timezone.now() + LEASE))


def _owing(mirror: Mirror) -> list[int]:
    rows = MirroredModel.objects.filter(mirror=mirror, unwritten_at__isnull=False)
    return list(rows.order_by("unwritten_at").values_list("pk", flat=True))


def _model(client: RegistryClient, mirror: Mirror, pk: int) -> None:
    """Write one model: its versions' tags, then its aliases, then that nothing is owed."""
    if not _renew(mirror):
        raise Superseded
    mirrored = MirroredModel.objects.select_related("mirror__team", "model__team").get(pk=pk)
    owing = mirrored.versions.filter(unwritten_at__isnull=False).select_related("version__model")
    versions = list(owing)
    try:
        for row in versions:
            _tags(client, mirrored, row)
        wanted = wanted_aliases(mirrored)
        for alias in sorted({*wanted, *mirrored.aliases}):
            _alias(client, mirrored, alias, wanted.get(alias, ""))
    except SourceNotFound as error:
        # It is not there any more: the next sweep says so, and nothing is owed to it.
        log.warning("mirror.nowhere_to_write", mirrored=pk, detail=error.detail)
    _done(mirrored, versions)


def _done(mirrored: MirroredModel, versions: list[MirroredVersion]) -> None:
    """Nothing is owed any more, unless something happened in the meantime."""
    with transaction.atomic():
        same = MirroredModel.objects.filter(pk=mirrored.pk, write_seq=mirrored.write_seq)
        if same.update(unwritten_at=None):
            kept = [row.pk for row in versions]
            MirroredVersion.objects.filter(pk__in=kept).update(unwritten_at=None)


def _tags(client: RegistryClient, mirrored: MirroredModel, row: MirroredVersion) -> None:
    if row.version is None or row.gone_at is not None:
        return
    wanted = wanted_tags(row.version, web_url=settings.CONFIG.web_url)
    for key, value in wanted.items():
        if value and value != row.written.get(key):
            client.set_tag(mirrored.name, row.number, key, value)
        elif not value and key in row.written:
            client.delete_tag(mirrored.name, row.number, key)
    row.written = {key: value for key, value in wanted.items() if value}
    MirroredVersion.objects.filter(pk=row.pk).update(written=row.written)


def _alias(client: RegistryClient, mirrored: MirroredModel, alias: str, target: str) -> None:
    agreed = mirrored.aliases.get(alias, "")
    if agreed == target:
        return
    there = client.alias(mirrored.name, alias)
    known = {agreed, target, mirrored.accepted_aliases.get(alias, agreed)}
    if there not in known:
        _note_moved(mirrored, alias, agreed, there)
    if there != target and target:
        client.set_alias(mirrored.name, alias, target)
    elif there != target:
        client.delete_alias(mirrored.name, alias)
    _agreed(mirrored, alias, target)


@transaction.atomic
def _note_moved(mirrored: MirroredModel, alias: str, agreed: str, there: str) -> None:
    """What is written over was moved since it was last looked at: it is not lost from sight."""
    differ = Differ("alias_moved", alias, {"version": agreed}, {"version": there})
    found(mirrored, differ, now=timezone.now())


@transaction.atomic
def _agreed(mirrored: MirroredModel, alias: str, target: str) -> None:
    locked = MirroredModel.objects.select_for_update().get(pk=mirrored.pk)
    agree(locked, alias, target)
    mirrored.aliases = locked.aliases
    rows = mirrored.differences.open().filter(kind=DifferenceKind.ALIAS_MOVED.value, subject=alias)
    resolve(rows, reason="a decision here was written over it", now=timezone.now())


def _postpone(mirror: Mirror, error: DomainError) -> None:
    failures = mirror.write_failures + 1
    now = timezone.now()
    _mine(mirror).update(
        write_failures=failures,
        write_error=error.detail[:500],
        write_due_at=now + wait(failures, jitter=random()),  # noqa: S311 - spreads load only
        write_lease_expires_at=None,
    )
    log.warning("mirror.writing_postponed", mirror=mirror.pk, failures=failures)
