"""Small explicit makers of accounts."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.accounts import services
from apps.accounts.access import Principal, Role, system
from apps.accounts.models import ServiceAccount, Team, Token, User
from apps.accounts.principals import of_user
from apps.accounts.services import ClientLimits

TESTS = system("tests")
PASSWORD = "correct horse battery"
_numbers = count(1)

# Hashing a password properly takes a quarter of a second, by intention; tests make many people.
settings.PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    *settings.PASSWORD_HASHERS,
]


def team(key: str = "flights") -> Team:
    """The team of this key, made when it is not there."""
    found = Team.objects.filter(key=key).first()
    return found or services.create_team(actor=TESTS, key=key, name=key.title())


def user(role: Role | None = None, *, username: str = "", team_key: str = "flights") -> User:
    """A new person, with `role` in the team."""
    made = services.create_user(
        actor=TESTS,
        username=username or f"{role or 'nobody'}{next(_numbers)}",
        password=PASSWORD,
    )
    if role is not None:
        services.add_member(actor=TESTS, user=made, team=team(team_key), role=role)
    return made


def principal(role: Role, *, team_key: str = "flights") -> Principal:
    """The principal of a new person with `role` in the team."""
    return of_user(user(role, team_key=team_key))


def service_account(role: Role = Role.CI, *, name: str = "", **limits: Any) -> ServiceAccount:
    """A new program of the team flights, answered for by a new scientist."""
    return services.create_service_account(
        actor=TESTS,
        name=name or f"{role}-{next(_numbers)}",
        team=team(),
        role=role,
        responsible=user(Role.SCIENTIST),
        limits=ClientLimits(**limits),
    )


def token(
    owner: User | ServiceAccount, *, scopes: list[str] | None = None, days: float = 1
) -> tuple[Token, str]:
    """A token of this owner and its text."""
    return services.issue_token(
        actor=TESTS,
        owner=owner,
        name="test",
        scopes=scopes,
        expires_at=timezone.now() + timedelta(days=days),
    )


def bearer(role: Role, *, team_key: str = "flights") -> dict[str, str]:
    """Headers of somebody with this role: a person, or a program for ci and client."""
    programs = (Role.CI, Role.CLIENT)
    owner = service_account(role) if role in programs else user(role, team_key=team_key)
    return {"Authorization": f"Bearer {token(owner)[1]}"}
