"""The people, programs and tokens of the demo; made once, found again on every later call."""

import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from apps.accounts import services
from apps.accounts.access import Role, system
from apps.accounts.models import Membership, ServiceAccount, Team, Token, User
from apps.accounts.principals import token_digest

TEAM = ("flights", "Flights")
PEOPLE = {
    "scientist": ("Sofia", "Marin", Role.SCIENTIST),
    "approver": ("Arthur", "Okafor", Role.APPROVER),
    "analyst": ("Ana", "Lindqvist", Role.ANALYST),
    "operator": ("Omar", "Haddad", Role.OPERATOR),
    "admin": ("Ada", "Kovacs", Role.ADMIN),
    "viewer": ("Vera", "Novak", Role.READ_ONLY),
}
PROGRAMS = {"ci": (Role.CI, "scientist"), "demo-client": (Role.CLIENT, "operator")}
TOKEN_NAME = "demo"  # noqa: S105  # what the token is called
TOKEN_LIFE = timedelta(days=365)
ACTOR = system("bootstrap")


@dataclass
class Kept:
    """Texts that the database must not know, kept in a file of mode 0600."""

    path: Path
    users: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Kept":
        """What an earlier call kept; nothing when there was none."""
        if not path.exists():
            return cls(path)
        known = json.loads(path.read_text())
        return cls(path, known.get("users", {}), known.get("tokens", {}))

    def document(self) -> dict[str, dict[str, str]]:
        """Passwords by user name, token texts by role."""
        return {"tokens": self.tokens, "users": self.users}

    def write(self) -> None:
        """Replace the file in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            json.dump(self.document(), opened, indent=2)
        partial.replace(self.path)


def bootstrap(*, path: Path, passwords: dict[str, str]) -> Kept:
    """Make what is missing of the demo's people, programs and tokens.

    `passwords` by user name win over those kept in `path`; the rest is generated.
    """
    kept = Kept.read(path)
    kept.users.update({name: text for name, text in passwords.items() if name in PEOPLE})
    team = _team()
    for name in PEOPLE:
        _person(kept, name, team)
    for name in PROGRAMS:
        _program(kept, name, team)
    kept.write()
    return kept


def _team() -> Team:
    key, name = TEAM
    found = Team.objects.filter(key=key).first()
    return found or services.create_team(actor=ACTOR, key=key, name=name)


def _person(kept: Kept, name: str, team: Team) -> None:
    first_name, last_name, role = PEOPLE[name]
    password = kept.users.setdefault(name, secrets.token_urlsafe(12))
    user = User.objects.filter(username=name).first()
    if user is None:
        user = services.create_user(
            actor=ACTOR,
            username=name,
            password=password,
            first_name=first_name,
            last_name=last_name,
            email=f"{name}@switchyard.example",
        )
    elif not user.check_password(password):
        services.set_password(actor=ACTOR, user=user, password=password, reason="demo")
    if not Membership.objects.filter(user=user, team=team, role=role.value).exists():
        services.add_member(actor=ACTOR, user=user, team=team, role=role, reason="demo")
    _token(kept, role, user)


def _program(kept: Kept, name: str, team: Team) -> None:
    role, responsible = PROGRAMS[name]
    account = ServiceAccount.objects.filter(name=name).first()
    if account is None:
        account = services.create_service_account(
            actor=ACTOR,
            name=name,
            team=team,
            role=role,
            responsible=User.objects.get(username=responsible),
        )
    _token(kept, role, account)


def _token(kept: Kept, role: Role, owner: User | ServiceAccount) -> None:
    digest = token_digest(kept.tokens.get(role.value, ""))
    now = timezone.now()
    if Token.objects.live(now=now).filter(digest=digest).exists():
        return
    _, kept.tokens[role.value] = services.issue_token(
        actor=ACTOR, owner=owner, name=TOKEN_NAME, expires_at=now + TOKEN_LIFE
    )
