"""From users, tokens and requests to principals."""

import hashlib
from collections import defaultdict
from datetime import datetime

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest

from apps.accounts.access import GUARDED_ROLES, Principal, Role
from apps.accounts.errors import NotSignedIn
from apps.accounts.models import ServiceAccount, Token, User

TOKEN_PREFIX = "swy_"  # noqa: S105  # the visible prefix of every token, not a secret


def token_digest(text: str) -> str:
    """SHA-256 hex of a token; tokens carry 256 random bits, so no salt or stretching is needed."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_user(user: User, *, scopes: frozenset[str] | None = None) -> Principal:
    """The principal of a person, with their roles in every team."""
    roles: dict[str, set[Role]] = defaultdict(set)
    for team_key, role in user.memberships.values_list("team__key", "role"):
        roles[team_key].add(Role(role))
    return Principal(
        key=user.key,
        display=user.get_full_name() or user.username,
        kind="user",
        user_id=user.pk,
        roles={team: frozenset(held) for team, held in roles.items()},
        scopes=scopes,
        lacks_codes=_lacks_codes(user, frozenset().union(*roles.values())),
    )


def _lacks_codes(user: User, roles: frozenset[Role]) -> bool:
    if not settings.CONFIG.require_totp or not roles & GUARDED_ROLES:
        return False
    return not Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()


def of_service_account(
    account: ServiceAccount, *, scopes: frozenset[str] | None = None
) -> Principal:
    """The principal of a service account: its one role in its one team."""
    return Principal(
        key=account.key,
        responsible_key=account.responsible.key,
        display=account.name,
        kind="service",
        roles={account.team.key: frozenset({Role(account.role)})},
        scopes=scopes,
    )


def of_token(text: str, *, now: datetime) -> Principal:
    """The principal that a bearer token stands for. Raises NotSignedIn."""
    token = (
        Token.objects.live(now=now)
        .select_related("user", "service_account__team", "service_account__responsible")
        .filter(digest=token_digest(text))
        .first()
    )
    if token is None:
        raise NotSignedIn("the bearer token is unknown, expired or revoked")
    if token.last_used_at is None or (now - token.last_used_at).total_seconds() > 60:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    scopes = None if token.scopes is None else frozenset(token.scopes)
    if token.service_account is not None:
        return of_service_account(token.service_account, scopes=scopes)
    if token.user is None:
        raise NotSignedIn("the bearer token has no owner")
    return of_user(token.user, scopes=scopes)


def principal_of(request: HttpRequest) -> Principal:
    """The principal of a page or REST request, computed once a request. Raises NotSignedIn."""
    cached = getattr(request, "principal", None)
    if isinstance(cached, Principal):
        return cached
    authenticated = getattr(request, "auth", None)
    if isinstance(authenticated, Principal):
        return authenticated
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        raise NotSignedIn("sign in first")
    principal = of_user(user)
    request.principal = principal  # type: ignore[attr-defined]  # cached for this request
    return principal
