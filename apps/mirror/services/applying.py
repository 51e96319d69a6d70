"""Doing what follows from a look at one model: one transaction, if nobody was faster."""

from collections.abc import Sequence
from datetime import datetime
from functools import singledispatch

import structlog
from django.db import transaction
from django.utils import timezone

from apps.mirror.base import base_of
from apps.mirror.errors import Superseded
from apps.mirror.models import Mirror, MirroredModel, MirroredVersion
from apps.mirror.reconcile import (
    Action,
    AddModel,
    AddVersion,
    Agree,
    Describe,
    Differ,
    OurModel,
    TakeAlias,
    TheirModel,
    TheirVersion,
    merged,
    reconcile,
    without_own,
)
from apps.mirror.services.finding import MIRROR, found, settle
from apps.registry import services as registry
from apps.registry.errors import AlreadyExists, Invalid
from apps.registry.models import ModelVersion, RegisteredModel, VersionStatus

log = structlog.get_logger(__name__)


@transaction.atomic
def apply(
    mirror: Mirror, mirrored: MirroredModel, theirs: TheirModel | None, base: OurModel | None
) -> bool:
    """Bring a model up to what MLflow has, if `base` is still its base; whether it was.

    `base` was read before MLflow was: a write-back in between makes the two incomparable, and the
    next sweep looks again. Raises Superseded, or what the registry refuses.
    """
    locked = hold(mirror, mirrored)
    if base_of(locked, base.versions if base is not None else ()) != base:
        return False
    now = timezone.now()
    actions = reconcile(theirs, base)
    for action in actions:
        perform(action, locked, now)
    differing = {(one.kind, one.subject) for one in actions if isinstance(one, Differ)}
    looked_at = [one.number for one in theirs.versions] if theirs is not None else []
    if theirs is not None:
        settle(locked, differing, looked_at, now=now)
    return True


def hold(mirror: Mirror, mirrored: MirroredModel) -> MirroredModel:
    """The row as it is now, held, for the worker that has the mirror. Raises Superseded."""
    mine = Mirror.objects.select_for_update(no_key=True).filter(
        pk=mirror.pk, attempts=mirror.attempts
    )
    if not mine.exists():
        raise Superseded
    rows = MirroredModel.objects.select_for_update(of=("self",))
    return rows.select_related("mirror__team", "mirror__owner", "model__team").get(pk=mirrored.pk)


@singledispatch
def perform(action: Action, mirrored: MirroredModel, now: datetime) -> None:
    """Do one thing."""
    raise TypeError(f"{action} is no action")


@perform.register
def _(action: AddModel, mirrored: MirroredModel, now: datetime) -> None:
    theirs, mirror = action.theirs, mirrored.mirror
    ours = RegisteredModel.objects.select_related("team").filter(name=theirs.name).first()
    if ours is not None and ours.team_id != mirror.team_id:
        raise AlreadyExists(f"team {ours.team.key} has a model {theirs.name!r}")
    mirrored.model = ours or registry.register_model(
        actor=MIRROR,
        name=theirs.name,
        team_key=mirror.team.key,
        tier=mirror.tier,
        description=theirs.description,
        tags=theirs.tags,
        owner=mirror.owner.username,
    )
    mirrored.description, mirrored.tags = theirs.description, dict(theirs.tags)
    mirrored.save(update_fields=["model", "description", "tags"])


@perform.register
def _(action: AddVersion, mirrored: MirroredModel, now: datetime) -> None:
    theirs = action.theirs
    row = mirrored.versions.filter(number=theirs.number).first()
    if row is None:
        row = MirroredVersion(mirrored=mirrored, number=theirs.number)
    if row.version_id is None or (row.source, row.run_id) != (theirs.source, theirs.run_id):
        row.version = _version(mirrored, theirs)
        row.digest, row.verified_at, row.written = "", None, {}
    remember(row, theirs)
    row.gone_at = None
    row.save()


@perform.register
def _(action: Describe, mirrored: MirroredModel, now: datetime) -> None:
    if mirrored.model is None:
        return
    tags = dict(action.tags)
    if action.number is None:
        model = mirrored.model
        both = merged(model.tags, mirrored.tags, tags)
        registry.update_model(actor=MIRROR, model=model, description=action.description, tags=both)
        mirrored.description, mirrored.tags = action.description, tags
        mirrored.save(update_fields=["description", "tags"])
        return
    row = mirrored.versions.select_related("version__model__team").get(number=action.number)
    if row.version is not None:
        both = merged(row.version.tags, row.tags, tags)
        registry.update_version(
            actor=MIRROR, version=row.version, description=action.description, tags=both
        )
    row.description, row.tags = action.description, tags
    row.save(update_fields=["description", "tags"])


@perform.register
def _(action: Agree, mirrored: MirroredModel, now: datetime) -> None:
    agree(mirrored, action.alias, action.number)


@perform.register
def _(action: TakeAlias, mirrored: MirroredModel, now: datetime) -> None:
    row = mirrored.versions.filter(number=int(action.number)).select_related("version").first()
    if row is None or row.version is None or mirrored.model is None:
        return
    try:
        registry.set_alias(
            actor=MIRROR, model=mirrored.model, alias=action.alias, version=row.version
        )
    except Invalid as error:  # an alias that means something else here stays there alone
        log.info("mirror.alias_left", alias=action.alias, detail=error.detail)
        mirrored.accepted_aliases = {**mirrored.accepted_aliases, action.alias: action.number}
        mirrored.save(update_fields=["accepted_aliases"])
    else:
        agree(mirrored, action.alias, action.number)


@perform.register
def _(action: Differ, mirrored: MirroredModel, now: datetime) -> None:
    found(mirrored, action, now=now)
    if action.kind == "renamed":
        # MLflow is spoken to under the name that it has; ours stays.
        mirrored.name = str(action.found["name"])
        mirrored.save(update_fields=["name"])


def agree(mirrored: MirroredModel, alias: str, number: str) -> None:
    """Note what both sides have, "" for no alias."""
    kept = {name: value for name, value in mirrored.aliases.items() if name != alias}
    let_stand = {name: v for name, v in mirrored.accepted_aliases.items() if name != alias}
    mirrored.aliases = {**kept, alias: number} if number else kept
    mirrored.accepted_aliases = let_stand
    mirrored.save(update_fields=["aliases", "accepted_aliases"])


def remember(row: MirroredVersion, theirs: TheirVersion) -> None:
    """Take what MLflow has as the base; the row is not saved."""
    row.source, row.run_id, row.author = theirs.source, theirs.run_id, theirs.author
    row.description, row.tags = theirs.description, without_own(theirs.tags)
    row.stage, row.created_ms = theirs.stage, theirs.created_ms


def _version(mirrored: MirroredModel, theirs: TheirVersion) -> ModelVersion | None:
    """Our version of theirs: the one that came by another way, or a new one."""
    if mirrored.model is None:
        return None
    ours = mirrored.model.versions.exclude(status=VersionStatus.FAILED.value)
    # One source may be registered twice there: each stands for a version of its own.
    ours = ours.exclude(mirrored__mirrored=mirrored)
    address = f"models:/{mirrored.name}/{theirs.number}"
    same: Sequence[ModelVersion] = [
        *ours.filter(source=theirs.source, run_id=theirs.run_id).exclude(run_id="")[:1],
        *ours.filter(source=address, run_id=theirs.run_id)[:1],
    ]
    return same[0] if same else register(mirrored, theirs, address)


def register(mirrored: MirroredModel, theirs: TheirVersion, address: str) -> ModelVersion:
    """A pending version, whose artifact a worker takes over from this mirror's MLflow."""
    if mirrored.model is None:
        raise Invalid("its model is not ours")
    return registry.register_source(
        actor=MIRROR,
        model=mirrored.model,
        source=address,
        run_id=theirs.run_id,
        tags=without_own(theirs.tags),
        description=theirs.description,
        server=mirrored.mirror.key,
    )
