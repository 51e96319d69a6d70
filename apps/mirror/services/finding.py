"""Differences: opened when they are found, resolved when they are gone."""

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db.models import QuerySet

from apps.accounts.access import Principal, system
from apps.events.services import record
from apps.mirror.models import (
    Difference,
    DifferenceKind,
    DifferenceState,
    MirroredModel,
    MirroredVersion,
)
from apps.mirror.reconcile import Differ

log = structlog.get_logger(__name__)
MIRROR = system("mirror")


def found(mirrored: MirroredModel, differ: Differ, *, now: datetime) -> Difference | None:
    """Open a difference, in the caller's transaction; the open one says what is there now."""
    opened = mirrored.differences.open().filter(kind=differ.kind, subject=differ.subject).first()
    if opened is not None:
        return _again(opened, differ, now=now)
    row = mirrored.versions.filter(number=differ.number).first() if differ.number else None
    opened = Difference.objects.create(
        mirrored=mirrored,
        mirrored_version=row,
        kind=differ.kind,
        subject=differ.subject,
        was=dict(differ.was),
        found=dict(differ.found),
        made_by=differ.made_by,
        found_at=now,
    )
    tell(MIRROR, "difference.found", opened)
    return opened


def resolve(rows: QuerySet[Difference], *, reason: str, now: datetime) -> None:
    """What went away by itself is no difference any more; in the caller's transaction."""
    for row in rows.select_related("mirrored__mirror__team", "mirrored_version"):
        end(row, DifferenceState.RESOLVED, MIRROR, reason=reason, now=now)


def end(
    difference: Difference,
    state: DifferenceState,
    actor: Principal,
    *,
    reason: str,
    now: datetime,
) -> bool:
    """Close an open difference; False when somebody was faster."""
    open_one = Difference.objects.open().filter(pk=difference.pk)
    ended = open_one.update(state=state.value, ended_at=now, ended_by_key=actor.key, reason=reason)
    if ended:
        difference.state = state.value
        tell(actor, f"difference.{state}", difference, reason=reason)
    return bool(ended)


def tell(actor: Principal, verb: str, difference: Difference, *, reason: str = "") -> None:
    """Write the log, under what is concerned: the version if it is ours, else the model."""
    mirrored = difference.mirrored
    record(
        actor=actor,
        verb=verb,
        object_key=object_key(mirrored, difference.mirrored_version),
        team_key=mirrored.mirror.team.key,
        before=difference.was,
        after={
            "mirror": mirrored.mirror.key,
            "difference": difference.pk,
            "kind": difference.kind,
            "subject": difference.subject,
            "found": difference.found,
            **({"attention": True} if verb == "difference.found" else {}),
        },
        reason=reason,
    )
    log.info(verb, difference=difference.pk, kind=difference.kind)


def object_key(mirrored: MirroredModel, row: MirroredVersion | None) -> str:
    """Of the version that a row stands for, of its model, or of the mirror."""
    if row is not None and row.version is not None:
        return row.version.key
    return mirrored.model.key if mirrored.model is not None else mirrored.mirror.key


def settle(
    mirrored: MirroredModel,
    differing: set[tuple[str, str]],
    looked_at: Iterable[int],
    *,
    now: datetime,
) -> None:
    """Resolve what was looked at and is a difference no more."""
    numbers = [str(number) for number in looked_at]
    rows = mirrored.differences.open()
    gone = [
        row.pk
        for row in rows.filter(kind=DifferenceKind.ALIAS_MOVED.value)
        | rows.filter(kind=DifferenceKind.MODEL_DELETED.value)
        | rows.filter(subject__in=numbers).exclude(kind=DifferenceKind.ALIAS_MOVED.value)
        if (row.kind, row.subject) not in differing and not _needs_reading(row)
    ]
    if gone:
        said = "MLflow has again what was agreed"
        resolve(Difference.objects.filter(pk__in=gone), reason=said, now=now)


def _needs_reading(row: Difference) -> bool:
    """Whether only reading the files again could tell that it is gone."""
    return row.kind == DifferenceKind.ARTIFACT_CHANGED and "digest" in row.found


def _again(opened: Difference, differ: Differ, *, now: datetime) -> Difference | None:
    if opened.kind == DifferenceKind.RENAMED and opened.was == dict(differ.found):
        resolve(Difference.objects.filter(pk=opened.pk), reason="renamed back", now=now)
        return None
    if opened.found != dict(differ.found):
        opened.found, opened.made_by = dict(differ.found), differ.made_by
        opened.save(update_fields=["found", "made_by"])
        tell(MIRROR, "difference.found", opened)
    return opened
