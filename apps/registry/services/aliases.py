"""Aliases: names that point at a version of a model.

The champion is the version that serves. Where an endpoint steers the model's traffic, it follows
the traffic; elsewhere it follows promotion. Nobody sets it on a version that was not approved.
"""

from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events import services as events
from apps.registry import traffic
from apps.registry.errors import AliasProtected, Invalid
from apps.registry.models import ModelAlias, ModelVersion, RegisteredModel, StageTransition
from apps.registry.naming import valid_alias
from apps.registry.promotion import CHAMPION, Stage, is_protected
from apps.registry.services.locking import lock_model

MAX_ALIASES = 100


@transaction.atomic
def set_alias(
    *, actor: Principal, model: RegisteredModel, alias: str, version: ModelVersion
) -> ModelAlias:
    """Point an alias at a version; it leaves the one that it pointed at.

    Raises PermissionDenied, Invalid, or AliasProtected where an approval has to come first.
    """
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    valid_alias(alias)
    locked = lock_model(model)
    held = locked.aliases.filter(name=alias).select_related("version").first()
    if held is not None and held.version_id == version.pk:
        return held
    if is_protected(alias):
        _require_top(actor, locked, version, alias)
    if held is None and locked.aliases.count() >= MAX_ALIASES:
        raise Invalid(f"a model has at most {MAX_ALIASES} aliases", field="alias")
    return _point(actor, locked, alias, version, reason="")


@transaction.atomic
def delete_alias(*, actor: Principal, model: RegisteredModel, alias: str) -> None:
    """Take an alias away, if it is there. Raises PermissionDenied or AliasProtected."""
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    locked = lock_model(model)
    if is_protected(alias):
        raise AliasProtected(f"alias {alias!r} follows promotion: nobody takes it away by hand")
    _remove(actor, locked, locked.aliases.filter(name=alias).first(), reason="")


def drop_aliases(*, actor: Principal, version: ModelVersion, reason: str) -> None:
    """Take away every alias of a version that goes, in the caller's transaction."""
    for alias in version.aliases.select_related("version"):
        _remove(actor, version.model, alias, reason=reason)


def follow_stage(*, actor: Principal, version: ModelVersion, was_top: bool, reason: str) -> None:
    """Move the champion after a version's stage changed, in the caller's transaction.

    It goes to the newest arrival in the stage that may get all traffic, unless an endpoint steers
    that (`crown`). When its version leaves for another there it goes on to that one; when there is
    none it stays, as a deprecated version still serves, until that version is archived.
    """
    is_top, steered = version.is_at_the_top, bool(traffic.steered_by(version.model))
    if is_top and not was_top and not steered:
        _point(actor, version.model, CHAMPION, version, reason=reason)
        return
    held = version.aliases.filter(name=CHAMPION).select_related("version").first()
    if held is None or is_top:
        return
    successor = None if steered else _newest_arrival(version.model_id)
    if successor is not None:
        _point(actor, version.model, CHAMPION, successor, reason=reason)
    elif version.stage == Stage.ARCHIVED:
        _remove(actor, version.model, held, reason=reason)


def crown(*, actor: Principal, version: ModelVersion, reason: str) -> None:
    """The version got all of the model's traffic: it is the champion, in the caller's transaction.

    Whoever steers traffic has authorised the change, and sent none to what was not approved.
    """
    locked = lock_model(version.model)
    _point(actor, locked, CHAMPION, version, reason=reason)


def _newest_arrival(model_id: int) -> ModelVersion | None:
    still_there = ModelVersion.objects.at_the_top().filter(model=model_id)
    arrivals = StageTransition.objects.into_the_top().filter(version__in=still_there)
    newest = arrivals.select_related("version").order_by("-id").first()
    return newest.version if newest else None


def _require_top(
    actor: Principal, model: RegisteredModel, version: ModelVersion, alias: str
) -> None:
    if not version.is_at_the_top:
        raise AliasProtected(
            f"alias {alias!r} follows promotion: v{version.number} is in {version.stage}"
        )
    if steered := traffic.steered_by(model):
        raise AliasProtected(f"alias {alias!r} follows the traffic of {steered}: change that")
    authorise(actor, Permission.DEPLOY, team_key=model.team.key)


def _point(
    actor: Principal, model: RegisteredModel, alias: str, version: ModelVersion, *, reason: str
) -> ModelAlias:
    held = model.aliases.filter(name=alias).select_related("version").first()
    before = held.version.number if held else None
    changed = {"version": version, "set_by": actor.key, "set_at": timezone.now()}
    row, _ = ModelAlias.objects.update_or_create(model=model, name=alias, defaults=changed)
    if before != version.number:
        _record(actor, model, "model.alias_set", alias, (before, version.number), reason)
    return row


def _remove(
    actor: Principal, model: RegisteredModel, held: ModelAlias | None, *, reason: str
) -> None:
    if held is None:
        return
    number = held.version.number
    held.delete()
    _record(actor, model, "model.alias_deleted", held.name, (number, None), reason)


def _record(
    actor: Principal,
    model: RegisteredModel,
    verb: str,
    alias: str,
    versions: tuple[int | None, int | None],
    reason: str,
) -> None:
    before, after = versions
    events.record(
        actor=actor,
        verb=verb,
        object_key=model.key,
        team_key=model.team.key,
        before={"alias": alias, "version": before},
        after={"alias": alias, "version": after},
        reason=reason,
    )
