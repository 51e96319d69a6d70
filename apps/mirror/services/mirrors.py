"""Mirrors: made, changed, paused, resumed, polled, taken away."""

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.accounts.errors import AlreadyDone
from apps.accounts.models import Team, User
from apps.events.errors import Conflict, Invalid
from apps.events.services import record
from apps.mirror.models import Mirror
from apps.notices import outbound
from apps.notices.signing import new_secret, seal
from apps.registry.models import Tier

log = structlog.get_logger(__name__)
MOST_PER_TEAM = 20
CHANGED = ("title", "pattern", "tier", "writes_back")


@transaction.atomic
def create_mirror(
    *,
    actor: Principal,
    team: Team,
    title: str,
    tracking_uri: str = "",
    credentials: Mapping[str, str] | None = None,
    pattern: str = "",
    tier: str = Tier.STANDARD.value,
    writes_back: bool = True,
) -> tuple[Mirror, str]:
    """Link a registry of MLflow to a team; the secret of its hints is returned this once.

    `tracking_uri` is by default the configured MLflow; `credentials` are {username, password} or
    {token}. Whoever asks owns the models that come. Raises PermissionDenied, Refused for an
    address that may not be called, Invalid naming the field, Conflict.
    """
    authorise(actor, Permission.ADMINISTER, team_key=team.key)
    place = _address(tracking_uri)
    owner = User.objects.filter(username=actor.human_key.removeprefix("user:")).first()
    if owner is None:
        raise Invalid("a mirror is made by a person, who owns the models that come")
    if team.mirrors.count() >= MOST_PER_TEAM:
        raise Conflict(f"team {team.key} has {MOST_PER_TEAM} mirrors, which is the most")
    secret = new_secret()
    mirror = Mirror(
        team=team,
        title=title.strip() or place,
        tracking_uri=place,
        credentials=_sealed(credentials),
        pattern=pattern,
        tier=_tier(tier),
        owner=owner,
        writes_back=writes_back,
        hint_secret=seal(secret),
        created_by_key=actor.key,
    )
    try:
        with transaction.atomic():
            mirror.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("the team mirrors these models of this registry already") from error
    _record(actor, "mirror.created", mirror, after=_described(mirror))
    mirror.refresh_from_db()
    return mirror, secret


@transaction.atomic
def change_mirror(
    *,
    actor: Principal,
    mirror: Mirror,
    reason: str,
    credentials: Mapping[str, str] | None = None,
    **given: Any,
) -> Mirror:
    """Change what is given of title, pattern, tier and writes_back; credentials {} takes them away.

    The address stays: another registry is another mirror.
    """
    locked = locked_mirror(actor, mirror, Permission.ADMINISTER)
    before = _described(locked)
    for name in CHANGED:
        setattr(locked, name, given.get(name, getattr(locked, name)))
    _tier(locked.tier)
    if credentials is not None:
        locked.credentials = _sealed(credentials)
    locked.save(update_fields=[*CHANGED, "credentials"])
    after = {**_described(locked), **({"credentials": "changed"} if credentials else {})}
    if after != before:
        _record(actor, "mirror.changed", locked, before=before, after=after, reason=reason)
    return locked


@transaction.atomic
def pause_mirror(*, actor: Principal, mirror: Mirror, reason: str) -> Mirror:
    """Neither poll nor write back. What happens meanwhile is found and written afterwards."""
    locked = locked_mirror(actor, mirror, Permission.ADMINISTER)
    if locked.paused_at is not None:
        raise AlreadyDone(f"{locked.title} is paused already")
    locked.paused_at, locked.paused_reason = timezone.now(), reason
    locked.save(update_fields=["paused_at", "paused_reason"])
    _record(actor, "mirror.paused", locked, reason=reason)
    return locked


@transaction.atomic
def resume_mirror(*, actor: Principal, mirror: Mirror, reason: str) -> Mirror:
    """Poll and write back again, at once."""
    locked = locked_mirror(actor, mirror, Permission.ADMINISTER)
    if locked.paused_at is None:
        raise AlreadyDone(f"{locked.title} is not paused")
    locked.paused_at, locked.paused_reason = None, ""
    locked.due_at = locked.write_due_at = timezone.now()
    locked.save(update_fields=["paused_at", "paused_reason", "due_at", "write_due_at"])
    _record(actor, "mirror.resumed", locked, reason=reason)
    return locked


@transaction.atomic
def poll_mirror(*, actor: Principal, mirror: Mirror, reason: str) -> Mirror:
    """Look at everything as soon as a worker is free, whatever its schedule and back-off say."""
    locked = locked_mirror(actor, mirror, Permission.REGISTER)
    if locked.paused_at is not None:
        raise Conflict(f"{locked.title} is paused: resume it first")
    now = timezone.now()
    locked.due_at = locked.write_due_at = now
    locked.fully_swept_at = None
    locked.save(update_fields=["due_at", "write_due_at", "fully_swept_at"])
    _record(actor, "mirror.polled", locked, reason=reason)
    return locked


@transaction.atomic
def delete_mirror(*, actor: Principal, mirror: Mirror, reason: str) -> None:
    """Take the link away with its differences; models, versions and MLflow stay as they are."""
    locked = locked_mirror(actor, mirror, Permission.ADMINISTER)
    _record(actor, "mirror.deleted", locked, before=_described(locked), reason=reason)
    locked.delete()


def locked_mirror(actor: Principal, mirror: Mirror, permission: Permission) -> Mirror:
    """The row as it is now, held until the transaction ends. Raises PermissionDenied."""
    authorise(actor, permission, team_key=mirror.team.key)
    rows = Mirror.objects.select_for_update(of=("self",)).select_related("team")
    return rows.get(pk=mirror.pk)


def _address(tracking_uri: str) -> str:
    own = settings.CONFIG.mlflow_tracking_uri.rstrip("/")
    given = tracking_uri.strip().rstrip("/")
    if given in ("", own):
        return str(own)
    try:
        outbound.check(given)
    except outbound.Refused as error:
        raise outbound.Refused(error.detail, field="tracking_uri") from error
    return given


def _sealed(credentials: Mapping[str, str] | None) -> bytes | None:
    given = {key: value for key, value in (credentials or {}).items() if value}
    if not given:
        return None
    if set(given) not in ({"token"}, {"username", "password"}):
        raise Invalid("give a token, or a username and a password", field="credentials")
    return seal(msgspec.json.encode(given).decode())


def _tier(tier: str) -> str:
    if tier not in list(Tier):
        raise Invalid(f"takes one of {', '.join(Tier)}", field="tier")
    return tier


def _described(mirror: Mirror) -> dict[str, object]:
    return {
        "tracking_uri": mirror.tracking_uri,
        **{name: getattr(mirror, name) for name in CHANGED},
    }


def _record(
    actor: Principal,
    verb: str,
    mirror: Mirror,
    *,
    before: object = None,
    after: object = None,
    reason: str = "",
) -> None:
    record(
        actor=actor,
        verb=verb,
        object_key=mirror.key,
        team_key=mirror.team.key,
        before=before,
        after=after,
        reason=reason,
    )
    log.info(verb, mirror=mirror.pk, actor=actor.key)
