"""Who may do what: the one place that decides.

A principal is whoever acts: a person, a service account, or the system itself. Roles are held in
teams; a role grants permissions; a token's scopes can only narrow them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apps.accounts.errors import PermissionDenied, SecondFactorNeeded
from apps.events.errors import DomainError


class Role(StrEnum):
    """What somebody is in a team."""

    SCIENTIST = "scientist"
    APPROVER = "approver"
    ANALYST = "analyst"
    OPERATOR = "operator"
    ADMIN = "admin"
    READ_ONLY = "readonly"
    CI = "ci"
    CLIENT = "client"


class Permission(StrEnum):
    """What a route or a service asks for; also the scopes of tokens."""

    VIEW = "view"
    REGISTER = "register"
    VALIDATE = "validate"
    REQUEST_PROMOTION = "request_promotion"
    APPROVE = "approve"
    DEPLOY = "deploy"
    ROUTE = "route"
    ROLL_BACK = "roll_back"
    EXPERIMENT = "experiment"
    PREDICT = "predict"
    ADMINISTER = "administer"


_P = Permission
_BUILD = {_P.VIEW, _P.REGISTER, _P.VALIDATE, _P.REQUEST_PROMOTION}
_RUN = {_P.DEPLOY, _P.ROUTE, _P.ROLL_BACK}

GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.SCIENTIST: frozenset({*_BUILD, *_RUN, _P.EXPERIMENT}),
    Role.APPROVER: frozenset({_P.VIEW, _P.APPROVE, _P.ROLL_BACK}),
    Role.ANALYST: frozenset({_P.VIEW, _P.EXPERIMENT}),
    Role.OPERATOR: frozenset({_P.VIEW, *_RUN}),
    Role.ADMIN: frozenset(_P) - {_P.PREDICT},
    Role.READ_ONLY: frozenset({_P.VIEW}),
    Role.CI: frozenset({*_BUILD, _P.DEPLOY, _P.ROUTE, _P.ROLL_BACK}),
    Role.CLIENT: frozenset({_P.PREDICT}),
}

# A service account holds no role that signs, or that could make itself a human who signs.
SERVICE_ROLES = frozenset(Role) - {Role.APPROVER, Role.ADMIN}
HUMAN_ROLES = frozenset(Role) - {Role.CI, Role.CLIENT}

# Four eyes means two humans: a service account never signs, whatever role it was given.
HUMANS_ONLY = frozenset({_P.APPROVE})

# What REQUIRE_TOTP guards, whose roles it binds, and where one sets the codes up.
GUARDED = frozenset({_P.APPROVE, _P.ADMINISTER})
GUARDED_ROLES = frozenset({Role.APPROVER, Role.ADMIN})
CODES_PAGE = "/security/"


@dataclass(frozen=True)
class Principal:
    """Whoever acts. `roles` are held by team key; `scopes` None means that nothing is narrowed.

    `lacks_codes`: the policy asks this person for one-time codes, and they have none.
    """

    key: str
    display: str
    kind: str
    responsible_key: str = ""
    user_id: int | None = None
    roles: Mapping[str, frozenset[Role]] = field(default_factory=dict)
    scopes: frozenset[str] | None = None
    lacks_codes: bool = False

    @property
    def human_key(self) -> str:
        """The human who answers for this: the responsible one of a service account."""
        return self.responsible_key or self.key

    def can(self, permission: Permission, team_key: str) -> bool:
        """Whether this principal holds `permission` in the team."""
        if self.kind == "system":
            return permission not in HUMANS_ONLY
        if self.scopes is not None and permission not in self.scopes:
            return False
        if self.kind == "service" and permission in HUMANS_ONLY:
            return False
        if self.lacks_codes and permission in GUARDED:
            return False
        return self._is_granted(permission, team_key)

    def _is_granted(self, permission: Permission, team_key: str) -> bool:
        return any(permission in GRANTS[role] for role in self.roles.get(team_key, ()))

    def lacks_only_codes(self, permission: Permission, *teams: str) -> bool:
        """Whether one-time codes are all that stands between this person and `permission`."""
        missing = self.lacks_codes and permission in GUARDED
        return missing and any(self._is_granted(permission, team) for team in teams)

    def can_anywhere(self, permission: Permission) -> bool:
        """Whether this principal holds `permission` in any team at all."""
        return self.kind == "system" or any(self.can(permission, team) for team in self.roles)

    def teams_with(self, permission: Permission) -> list[str]:
        """Keys of the teams where this principal holds `permission`."""
        return [team for team in self.roles if self.can(permission, team)]

    @property
    def audited_teams(self) -> list[str] | None:
        """Teams whose events this principal may see; None for an administrator: all."""
        if self.can_anywhere(Permission.ADMINISTER):
            return None
        return self.teams_with(Permission.VIEW)


def system(name: str) -> Principal:
    """The system itself as an actor: "system:rollout"."""
    return Principal(key=f"system:{name}", display=f"Switchyard ({name})", kind="system")


def refusal(actor: Principal, permission: Permission, *, team_key: str) -> DomainError | None:
    """Why `actor` may not do this in the team, in words that say what to do; None if they may."""
    if actor.can(permission, team_key):
        return None
    if actor.lacks_only_codes(permission, team_key):
        return _codes_needed(actor, permission)
    return PermissionDenied(f"{actor.display} may not {_said(permission)} in team {team_key}")


def authorise(actor: Principal, permission: Permission, *, team_key: str) -> None:
    """Raise PermissionDenied or SecondFactorNeeded unless `actor` may do this in the team."""
    refused = refusal(actor, permission, team_key=team_key)
    if refused is not None:
        raise refused


def authorise_anywhere(actor: Principal, permission: Permission) -> None:
    """Raise PermissionDenied or SecondFactorNeeded unless `actor` may do this in some team."""
    if actor.can_anywhere(permission):
        return
    if actor.lacks_only_codes(permission, *actor.roles):
        raise _codes_needed(actor, permission)
    raise PermissionDenied(f"{actor.display} may not {_said(permission)} in any team")


def _codes_needed(actor: Principal, permission: Permission) -> SecondFactorNeeded:
    return SecondFactorNeeded(
        f"{actor.display} may {_said(permission)} only with one-time codes: set them up at "
        f"{CODES_PAGE} first, approvers and administrators must have them"
    )


def _said(permission: Permission) -> str:
    return permission.replace("_", " ")
