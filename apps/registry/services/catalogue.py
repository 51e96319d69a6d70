"""Registering, describing, renaming and deleting models."""

from collections.abc import Mapping

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.accounts.models import Team, User
from apps.events import services as events
from apps.registry import holds
from apps.registry.errors import AlreadyExists, Conflict, Invalid
from apps.registry.models import (
    ModelAlias,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
    Tier,
    VersionStatus,
)
from apps.registry.naming import valid_name
from apps.registry.promotion import UNAPPROVED_STAGES
from apps.registry.services.locking import lock_model
from apps.registry.services.tags import valid_tags
from apps.registry.services.taking_over import cancel_takeover
from apps.registry.services.versions import valid_description

log = structlog.get_logger(__name__)
EDITABLE = ("description", "tags", "tier", "owner")


def register_model(
    *,
    actor: Principal,
    name: str,
    team_key: str,
    tier: str = Tier.STANDARD.value,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
) -> RegisteredModel:
    """Add a model that `team_key` answers for.

    `owner` is a username, by default the person who asks (the responsible one of a service
    account). Versions are numbered on from those of any model that had this name before: a version
    key names one artifact for ever. Raises PermissionDenied, AlreadyExists, or Invalid naming the
    field.
    """
    authorise(actor, Permission.REGISTER, team_key=team_key)
    model = RegisteredModel(
        name=valid_name(name),
        last_number=_last_number(name),
        team=_team(team_key),
        owner=_user(owner or actor.human_key.removeprefix("user:")),
        tier=_tier(tier),
        description=valid_description(description),
        tags=valid_tags(tags or {}),
    )
    try:
        with transaction.atomic():
            model.save(force_insert=True)
            _record(actor, "model.registered", model, before=None)
    except IntegrityError as error:
        raise _taken(name) from error
    log.info("model.registered", model=model.name, team=team_key, actor=actor.key)
    return model


@transaction.atomic
def update_model(
    *,
    actor: Principal,
    model: RegisteredModel,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    tier: str | None = None,
    owner: str | None = None,
    reason: str = "",
) -> RegisteredModel:
    """Change what is given; the event keeps what was there before, and why it was changed.

    Raises PermissionDenied, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    locked = lock_model(model)
    before = _described(locked)
    if description is not None:
        locked.description = valid_description(description)
    if tags is not None:
        locked.tags = valid_tags(tags)
    if tier is not None:
        locked.tier = _tier(tier)
    if owner is not None:
        locked.owner = _user(owner)
    if _described(locked) == before:
        return locked
    locked.save(update_fields=EDITABLE)
    RegisteredModel.objects.filter(pk=locked.pk).update(updated_at=Now())
    _record(actor, "model.updated", locked, before=before, reason=reason)
    locked.refresh_from_db(fields=["updated_at"])
    return locked


@transaction.atomic
def rename_model(
    *, actor: Principal, model: RegisteredModel, new_name: str, reason: str = ""
) -> RegisteredModel:
    """Give a model another name; its history is found under the new one, too.

    Raises PermissionDenied, Invalid, AlreadyExists, or Conflict once a version was approved:
    signatures, endpoints and records name it then.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    valid_name(new_name, field="new_name")
    locked = lock_model(model)
    if new_name == locked.name:
        return locked
    _require_movable(locked, "renamed")
    if _named(new_name).exclude(pk=locked.pk).filter(_holds_its_name()).exists():
        raise _taken(new_name, field="new_name")
    _rename(locked, new_name)
    for key in locked.keys[:2]:
        events.record(
            actor=actor,
            verb="model.renamed",
            object_key=key,
            team_key=locked.team.key,
            before={"name": model.name},
            after={"name": new_name},
            reason=reason,
        )
    log.info("model.renamed", model=new_name, before=model.name, actor=actor.key)
    return locked


def _rename(model: RegisteredModel, new_name: str) -> None:
    earlier = [name for name in model.former_names if name not in (new_name, model.name)]
    model.name, model.former_names = new_name, [model.name, *earlier]
    model.updated_at = timezone.now()
    try:
        with transaction.atomic():
            model.save(update_fields=["name", "former_names", "updated_at"])
    except IntegrityError as error:
        raise _taken(new_name, field="new_name") from error
    ModelVersion.objects.filter(model=model).update(updated_at=model.updated_at)


@transaction.atomic
def delete_model(*, actor: Principal, model: RegisteredModel, reason: str = "") -> None:
    """Take a model and its versions out of sight; history stays.

    Its name is free again unless a version of it was ever approved. Raises PermissionDenied, or
    Conflict while a version is approved or being decided about.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    locked = lock_model(model)
    approved = locked.versions.exclude(stage__in=UNAPPROVED_STAGES).order_by("-number").first()
    if approved is not None:
        said = f"v{approved.number} is in {approved.stage}: archive it first"
        raise Conflict(f"model {locked.name} cannot be deleted: {said}")
    _require_undisputed(locked, "deleted")
    for version in locked.versions.filter(status=VersionStatus.PENDING.value):
        cancel_takeover(actor=actor, version=version, reason=reason or "the model was deleted")
    before = {**_described(locked), "versions": locked.versions.count()}
    _bury(locked)
    events.record(
        actor=actor,
        verb="model.deleted",
        object_key=locked.key,
        team_key=locked.team.key,
        before=before,
        after={"name_free": locked.name_free},
        reason=reason,
    )
    log.info("model.deleted", model=locked.name, actor=actor.key)


def _bury(model: RegisteredModel) -> None:
    now = timezone.now()
    ModelAlias.objects.filter(model=model).delete()
    ModelVersion.objects.filter(model=model).update(deleted_at=now, updated_at=now)
    model.deleted_at = model.updated_at = now
    model.name_free = not _ever_approved(model)
    model.save(update_fields=["deleted_at", "updated_at", "name_free"])


def _require_movable(model: RegisteredModel, what: str) -> None:
    if _ever_approved(model):
        raise Conflict(
            f"model {model.name} cannot be {what}: a version of it was approved, and signatures, "
            "endpoints and records name it"
        )
    _require_undisputed(model, what)


def _require_undisputed(model: RegisteredModel, what: str) -> None:
    asked = PromotionRequest.objects.open(now=timezone.now()).filter(version__model=model)
    if asked.exists():
        raise Conflict(
            f"model {model.name} cannot be {what}: a promotion is being decided; withdraw it first"
        )
    if held := holds.reason(model):
        raise Conflict(f"model {model.name} cannot be {what}: {held}")


def _ever_approved(model: RegisteredModel) -> bool:
    arrivals = StageTransition.objects.filter(version__model=model)
    return arrivals.exclude(to_stage__in=UNAPPROVED_STAGES).exists()


def _named(name: str) -> QuerySet[RegisteredModel]:
    """Models that have or had this name, deleted ones too."""
    return RegisteredModel.with_deleted.filter(Q(name=name) | Q(former_names__contains=[name]))


def _holds_its_name() -> Q:
    """Models beside which no other one with versions may have their name."""
    return Q(deleted_at__isnull=True) | Q(name_free=False) | Q(last_number__gt=0)


def _last_number(name: str) -> int:
    found: int | None = _named(name).aggregate(last=Max("last_number"))["last"]
    return found or 0


def _taken(name: str, *, field: str = "name") -> AlreadyExists:
    if RegisteredModel.objects.filter(name=name).exists():
        said = f"Registered Model (name={name}) already exists."
    else:
        said = f"Registered Model (name={name}) already exists: the history of another keeps it."
    return AlreadyExists(said, field=field)


def _record(
    actor: Principal,
    verb: str,
    model: RegisteredModel,
    *,
    before: dict[str, object] | None,
    reason: str = "",
) -> None:
    events.record(
        actor=actor,
        verb=verb,
        object_key=model.key,
        team_key=model.team.key,
        before=before,
        after=_described(model),
        reason=reason,
    )


def _described(model: RegisteredModel) -> dict[str, object]:
    return {
        "owner": model.owner.username,
        "tier": model.tier,
        "description": model.description,
        "tags": model.tags,
    }


def _team(key: str) -> Team:
    team = Team.objects.filter(key=key).first()
    if team is None:
        raise Invalid(f"there is no team {key!r}", field="team")
    return team


def _user(username: str) -> User:
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise Invalid(f"there is no person {username!r}", field="owner")
    return user


def _tier(tier: str) -> str:
    if tier not in list(Tier):
        raise Invalid(f"must be one of {', '.join(Tier)}", field="tier")
    return tier
