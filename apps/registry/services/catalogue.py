"""Registering and describing models."""

import re
from collections.abc import Mapping

import structlog
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from apps.accounts.access import Permission, Principal, authorise
from apps.accounts.models import Team, User
from apps.events import services as events
from apps.registry.errors import AlreadyExists, Invalid
from apps.registry.models import NAME_PATTERN, RegisteredModel, Tier

log = structlog.get_logger(__name__)
EDITABLE = ("description", "tags", "tier", "owner")
MAX_TAGS = 50
MAX_TAG_LENGTH = 500


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
    account). Raises PermissionDenied, AlreadyExists, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=team_key)
    model = RegisteredModel(
        name=_name(name),
        team=_team(team_key),
        owner=_user(owner or actor.human_key.removeprefix("user:")),
        tier=_tier(tier),
        description=description,
        tags=_tags(tags or {}),
    )
    try:
        with transaction.atomic():
            model.save(force_insert=True)
            _record(actor, "model.registered", model, before=None)
    except IntegrityError as error:
        raise AlreadyExists(f"there is a model {name!r} already", field="name") from error
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
) -> RegisteredModel:
    """Change what is given; the event keeps what was there before.

    Raises PermissionDenied, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    found = RegisteredModel.objects.select_for_update(no_key=True, of=("self",))
    locked = found.select_related("team", "owner").get(pk=model.pk)
    before = _described(locked)
    if description is not None:
        locked.description = description
    if tags is not None:
        locked.tags = _tags(tags)
    if tier is not None:
        locked.tier = _tier(tier)
    if owner is not None:
        locked.owner = _user(owner)
    if _described(locked) == before:
        return locked
    locked.save(update_fields=EDITABLE)
    RegisteredModel.objects.filter(pk=locked.pk).update(updated_at=Now())
    _record(actor, "model.updated", locked, before=before)
    locked.refresh_from_db(fields=["updated_at"])
    return locked


def _record(
    actor: Principal, verb: str, model: RegisteredModel, *, before: dict[str, object] | None
) -> None:
    events.record(
        actor=actor,
        verb=verb,
        object_key=model.key,
        team_key=model.team.key,
        before=before,
        after=_described(model),
    )


def _described(model: RegisteredModel) -> dict[str, object]:
    return {
        "owner": model.owner.username,
        "tier": model.tier,
        "description": model.description,
        "tags": model.tags,
    }


def _name(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name):
        raise Invalid(
            "a model's name has 1 to 63 lower-case letters, digits and hyphens", field="name"
        )
    return name


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


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    if len(tags) > MAX_TAGS:
        raise Invalid(f"at most {MAX_TAGS} tags", field="tags")
    for key, value in tags.items():
        if not key or len(key) > MAX_TAG_LENGTH or len(value) > MAX_TAG_LENGTH:
            raise Invalid(
                f"tag {key[:40]!r}: keys and values have at most {MAX_TAG_LENGTH} characters",
                field="tags",
            )
    return dict(tags)
