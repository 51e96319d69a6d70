"""Who may do what: the one place that decides.

A principal is whoever acts: a person, a service account, or the system itself. Roles are held in
teams; a role grants permissions; a token's scopes can only narrow them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from apps.accounts.errors import PermissionDenied


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


@dataclass(frozen=True)
class Principal:
    """Whoever acts. `roles` are held by team key; `scopes` None means that nothing is narrowed."""

    key: str
    display: str
    kind: str
    responsible_key: str = ""
    user_id: int | None = None
    roles: Mapping[str, frozenset[Role]] = field(default_factory=dict)
    scopes: frozenset[str] | None = None

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
        return any(permission in GRANTS[role] for role in self.roles.get(team_key, ()))

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


def authorise(actor: Principal, permission: Permission, *, team_key: str) -> None:
    """Raise PermissionDenied unless `actor` holds `permission` in the team."""
    if not actor.can(permission, team_key):
        raise PermissionDenied(
            f"{actor.display} may not {permission.replace('_', ' ')} in team {team_key}"
        )


def authorise_anywhere(actor: Principal, permission: Permission) -> None:
    """Raise PermissionDenied unless `actor` holds `permission` in some team."""
    if not actor.can_anywhere(permission):
        raise PermissionDenied(
            f"{actor.display} may not {permission.replace('_', ' ')} in any team"
        )
