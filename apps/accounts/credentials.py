"""Service accounts and tokens: every write; `services` offers them to other apps."""

import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.access import (
    SERVICE_ROLES,
    Permission,
    Principal,
    Role,
    authorise,
)
from apps.accounts.errors import AlreadyDone, NameTaken, PermissionDenied
from apps.accounts.models import TIER_PATTERN, ServiceAccount, Team, Token, User
from apps.accounts.names import check_key
from apps.accounts.principals import TOKEN_PREFIX, token_digest
from apps.events.errors import Invalid
from apps.events.services import record

LONGEST_LIFE = timedelta(days=366)
PREFIX_LENGTH = 12
MOST_BURST = 1_000_000
Owner = User | ServiceAccount


@dataclass(frozen=True, kw_only=True)
class ClientLimits:
    """What a client of the data plane may: see ServiceAccount for units and what 0 means."""

    endpoints: tuple[str, ...] = ()
    requests_per_second: float = 0.0
    burst: int = 0
    tier: str = ""
    budget: float = 0.0


UNLIMITED = ClientLimits()


@transaction.atomic
def create_service_account(
    *,
    actor: Principal,
    name: str,
    team: Team,
    role: Role,
    responsible: User,
    limits: ClientLimits = UNLIMITED,
) -> ServiceAccount:
    """Add a program with a human who answers for it; `limits` bind clients of the data plane.

    Raises Invalid (a role that only humans hold, an inactive human, limits), NameTaken.
    """
    authorise(actor, Permission.ADMINISTER, team_key=team.key)
    check_key(name, field="name")
    _check_account(role, responsible)
    _check_limits(role, limits)
    try:
        with transaction.atomic():
            account = ServiceAccount.objects.create(
                name=name,
                team=team,
                role=role.value,
                responsible=responsible,
                **_columns(limits),
            )
    except IntegrityError as error:
        raise NameTaken(f"there is a service account {name} already", field="name") from error
    _record_account(actor, account, "created", after=_account_facts(account))
    return account


@transaction.atomic
def limit_service_account(
    *, actor: Principal, account: ServiceAccount, limits: ClientLimits, reason: str
) -> ServiceAccount:
    """Give a client of the data plane other limits; gateways hear of it within a second."""
    authorise(actor, Permission.ADMINISTER, team_key=account.team.key)
    if not reason.strip():
        raise Invalid("say why", field="reason")
    locked = ServiceAccount.objects.select_for_update(of=("self",)).select_related(
        "team", "responsible"
    )
    fresh = locked.get(pk=account.pk)
    _check_limits(Role(fresh.role), limits)
    before = _account_facts(fresh)
    for name, value in _columns(limits).items():
        setattr(fresh, name, value)
    fresh.save(update_fields=list(_columns(limits)))
    after = _account_facts(fresh)
    _record_account(actor, fresh, "limited", before=before, after=after, reason=reason)
    return fresh


@transaction.atomic
def disable_service_account(*, actor: Principal, account: ServiceAccount, reason: str) -> None:
    """Stop a program: none of its tokens works until it is enabled again."""
    authorise(actor, Permission.ADMINISTER, team_key=account.team.key)
    now = timezone.now()
    changed = ServiceAccount.objects.filter(pk=account.pk, disabled_at__isnull=True)
    if not changed.update(disabled_at=now):
        raise AlreadyDone(f"{account.name} is disabled already")
    account.disabled_at = now
    _record_account(actor, account, "disabled", reason=reason)


@transaction.atomic
def enable_service_account(*, actor: Principal, account: ServiceAccount, reason: str) -> None:
    """Let a disabled program go on; its unexpired tokens work again."""
    authorise(actor, Permission.ADMINISTER, team_key=account.team.key)
    changed = ServiceAccount.objects.filter(pk=account.pk, disabled_at__isnull=False)
    if not changed.update(disabled_at=None):
        raise AlreadyDone(f"{account.name} is not disabled")
    account.disabled_at = None
    _record_account(actor, account, "enabled", reason=reason)


@transaction.atomic
def hand_over_service_account(
    *, actor: Principal, account: ServiceAccount, responsible: User, reason: str
) -> ServiceAccount:
    """Let another human answer for a program; one that was orphaned is so no longer.

    Raises Invalid when the human is deactivated.
    """
    authorise(actor, Permission.ADMINISTER, team_key=account.team.key)
    _check_account(Role(account.role), responsible)
    before: dict[str, object] = {"responsible": account.responsible.key}
    account.responsible, account.orphaned_at = responsible, None
    account.save(update_fields=["responsible", "orphaned_at"])
    after: dict[str, object] = {"responsible": responsible.key}
    _record_account(actor, account, "handed_over", before=before, after=after, reason=reason)
    return account


@transaction.atomic
def issue_token(
    *,
    actor: Principal,
    owner: Owner,
    name: str,
    expires_at: datetime,
    scopes: Iterable[str] | None = None,
) -> tuple[Token, str]:
    """Make a token for a program or a person; return it and its text, which is kept nowhere.

    A person's token is made by that person alone; a program's by an administrator of its team or
    by the human who answers for it. `scopes` are permissions that narrow the owner's roles; None
    narrows nothing. Raises Invalid for an unknown scope or a bad expiry.
    """
    _authorise_for(actor, owner)
    narrowed = _check_scopes(actor, scopes)
    _check_expiry(expires_at)
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = Token.objects.create(
        user=owner if isinstance(owner, User) else None,
        service_account=owner if isinstance(owner, ServiceAccount) else None,
        name=name,
        prefix=text[:PREFIX_LENGTH],
        digest=token_digest(text),
        scopes=narrowed,
        expires_at=expires_at,
    )
    _record_token(actor, token, "issued", after=_token_facts(token))
    return token, text


@transaction.atomic
def rotate_token(
    *,
    actor: Principal,
    token: Token,
    expires_at: datetime,
    overlap: timedelta = timedelta(0),
    reason: str = "",
) -> tuple[Token, str]:
    """Replace a token by a new one of the same owner, name and scopes.

    The old one works for `overlap` longer, so that nothing fails while the new one travels.
    """
    owner = owner_of(token)
    fresh, text = issue_token(
        actor=actor, owner=owner, name=token.name, scopes=token.scopes, expires_at=expires_at
    )
    if overlap:
        _shorten(token, timezone.now() + overlap)
    else:
        _revoke(token)
    _record_token(actor, token, "rotated", after={"replaced_by": fresh.key}, reason=reason)
    return fresh, text


@transaction.atomic
def revoke_token(*, actor: Principal, token: Token, reason: str) -> None:
    """End a token at once. Raises AlreadyDone."""
    _authorise_for(actor, owner_of(token), administrators=True)
    _revoke(token)
    _record_token(actor, token, "revoked", reason=reason)


def owner_of(token: Token) -> Owner:
    """The person or program that a token speaks for."""
    owner = token.service_account or token.user
    if owner is None:
        raise Invalid("the token has no owner")
    return owner


def _authorise_for(actor: Principal, owner: Owner, *, administrators: bool = False) -> None:
    """Refuse actors who may not handle the owner's tokens.

    Nobody makes a token that speaks for another person, not even an administrator: it would be a
    second pair of eyes that is not there. Ending one is another matter (`administrators`).
    """
    if actor.kind == "system":
        return
    if isinstance(owner, ServiceAccount):
        if actor.key != owner.responsible.key:
            authorise(actor, Permission.ADMINISTER, team_key=owner.team.key)
        return
    if actor.user_id == owner.pk:
        return
    if not (administrators and actor.can_anywhere(Permission.ADMINISTER)):
        raise PermissionDenied(f"{actor.display} may not handle tokens of {owner.username}")


def _check_scopes(actor: Principal, scopes: Iterable[str] | None) -> list[str] | None:
    narrowed = None if scopes is None else sorted(set(scopes))
    unknown = set(narrowed or ()) - {permission.value for permission in Permission}
    if unknown:
        raise Invalid(f"unknown scopes: {', '.join(sorted(unknown))}", field="scopes")
    if actor.scopes is not None and (narrowed is None or set(narrowed) - actor.scopes):
        raise PermissionDenied("a token cannot make a token that may do more than itself")
    return narrowed


def _check_expiry(expires_at: datetime) -> None:
    now = timezone.now()
    if not now < expires_at <= now + LONGEST_LIFE:
        raise Invalid(
            f"a token expires in the future and within {LONGEST_LIFE.days} days",
            field="expires_at",
        )


def _check_account(role: Role, responsible: User) -> None:
    if role not in SERVICE_ROLES:
        raise Invalid(f"{role} is a role of people: a program never signs", field="role")
    if not responsible.is_active:
        raise Invalid(f"{responsible.username} is deactivated", field="responsible")


def _check_limits(role: Role, limits: ClientLimits) -> None:
    if role is not Role.CLIENT and (limits.burst or limits.tier or limits.budget):
        field = "burst" if limits.burst else "tier" if limits.tier else "budget"
        raise Invalid("only clients of the data plane have one", field=field)
    rate = limits.requests_per_second
    if not (math.isfinite(rate) and rate >= 0):
        raise Invalid("a rate is 0 (no limit) or more", field="requests_per_second")
    if not 0 <= limits.burst <= MOST_BURST:
        raise Invalid(f"a burst is 0 (one second's worth) to {MOST_BURST}", field="burst")
    if limits.burst and not rate:
        raise Invalid("without a rate there is nothing to burst", field="burst")
    if limits.tier and not re.fullmatch(TIER_PATTERN, limits.tier):
        raise Invalid("a tier is made of a-z, 0-9 and hyphens, up to 40", field="tier")
    if not (math.isfinite(limits.budget) and limits.budget >= 0):
        raise Invalid("a budget is 0 (any) or more dollars per 1,000", field="budget")


def _columns(limits: ClientLimits) -> dict[str, object]:
    return {**asdict(limits), "endpoints": list(limits.endpoints)}


def _revoke(token: Token) -> None:
    now = timezone.now()
    if not Token.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now):
        raise AlreadyDone(f"token {token.prefix}… is revoked already")
    token.revoked_at = now


def _shorten(token: Token, expires_at: datetime) -> None:
    live = Token.objects.filter(pk=token.pk, revoked_at__isnull=True)
    if not live.exists():
        raise AlreadyDone(f"token {token.prefix}… is revoked already")
    live.filter(expires_at__gt=expires_at).update(expires_at=expires_at)


def _record_account(
    actor: Principal,
    account: ServiceAccount,
    what: str,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
    reason: str = "",
) -> None:
    record(
        actor=actor,
        verb=f"service_account.{what}",
        object_key=account.key,
        team_key=account.team.key,
        before=before,
        after=after,
        reason=reason,
    )


def _record_token(
    actor: Principal,
    token: Token,
    what: str,
    *,
    after: dict[str, object] | None = None,
    reason: str = "",
) -> None:
    account = token.service_account
    record(
        actor=actor,
        verb=f"token.{what}",
        object_key=token.key,
        team_key=account.team.key if account else "",
        after=after,
        reason=reason,
    )


def _account_facts(account: ServiceAccount) -> dict[str, object]:
    return {
        "team": account.team.key,
        "role": account.role,
        "responsible": account.responsible.key,
        "endpoints": account.endpoints,
        "requests_per_second": account.requests_per_second,
        "burst": account.burst,
        "tier": account.tier,
        "budget": account.budget,
    }


def _token_facts(token: Token) -> dict[str, object]:
    """What the log may know of a token: never its text, nor its digest."""
    return {
        "name": token.name,
        "prefix": token.prefix,
        "owner": owner_of(token).key,
        "scopes": token.scopes,
        "expires_at": token.expires_at.isoformat(),
    }
