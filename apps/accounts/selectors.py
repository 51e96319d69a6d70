"""Reads over several models of this app."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.access import Permission, Role
from apps.accounts.models import Membership, ServiceAccount, Team, Token, User
from apps.events.errors import NotFound
from contracts.routing import Client, ClientsDocument


def get_team(key: str) -> Team:
    """The team of this key. Raises NotFound."""
    team = Team.objects.filter(key=key).first()
    if team is None:
        raise NotFound(f"there is no team {key}", field="team")
    return team


def get_user(username: str) -> User:
    """The person of this name. Raises NotFound."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise NotFound(f"there is no user {username}", field="username")
    return user


def get_role(name: str) -> Role:
    """The role of this name. Raises NotFound."""
    try:
        return Role(name)
    except ValueError as error:
        raise NotFound(f"there is no role {name}", field="role") from error


def get_service_account(name: str) -> ServiceAccount:
    """The program of this name, with its team and its human. Raises NotFound."""
    accounts = ServiceAccount.objects.select_related("team", "responsible")
    account = accounts.filter(name=name).first()
    if account is None:
        raise NotFound(f"there is no service account {name}", field="name")
    return account


def get_token(pk: int) -> Token:
    """A token with its owner. Raises NotFound."""
    tokens = Token.objects.select_related(
        "user", "service_account__team", "service_account__responsible"
    )
    token = tokens.filter(pk=pk).first()
    if token is None:
        raise NotFound(f"there is no token {pk}")
    return token


@dataclass(frozen=True)
class Member:
    """A person of a team, with every role they hold there."""

    user: User
    roles: tuple[str, ...]


def roles_by_person(memberships: QuerySet[Membership]) -> list[Member]:
    """The members, by name, each once."""
    held: dict[User, list[str]] = defaultdict(list)
    for membership in memberships.order_by("user__username", "role"):
        held[membership.user].append(membership.role)
    return [Member(user, tuple(roles)) for user, roles in held.items()]


def clients_document(revision: int) -> ClientsDocument:
    """Every program that may call the data plane, with the digests of its live tokens.

    A client without a live token is left out; gateways end keys at their expiry by themselves.
    """
    keys: dict[int, dict[str, float]] = defaultdict(dict)
    for account_id, digest, expires_at in _client_keys():
        keys[account_id][digest] = expires_at.timestamp()
    accounts = ServiceAccount.objects.filter(pk__in=keys).select_related("team")
    return ClientsDocument(
        revision=revision,
        clients=tuple(
            Client(
                name=account.name,
                team=account.team.key,
                key_digests=keys[account.pk],
                endpoints=tuple(account.endpoints),
                requests_per_second=account.requests_per_second,
                burst=account.burst,
                tier=account.tier,
                budget=account.budget,
            )
            for account in accounts
        ),
    )


def _client_keys() -> Iterator[tuple[int, str, datetime]]:
    live = Token.objects.live(now=timezone.now())
    for token in live.filter(service_account__role=Role.CLIENT.value).order_by("pk"):
        may_predict = token.scopes is None or Permission.PREDICT.value in token.scopes
        if token.service_account_id is not None and may_predict:
            yield token.service_account_id, token.digest, token.expires_at
