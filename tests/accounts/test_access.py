"""The table of grants, and the decision."""

import pytest

from apps.accounts.access import (
    GRANTS,
    HUMAN_ROLES,
    SERVICE_ROLES,
    Permission,
    Principal,
    Role,
    authorise,
    system,
)
from apps.accounts.errors import PermissionDenied


def principal(*roles: Role, kind: str = "user", scopes: frozenset[str] | None = None) -> Principal:
    return Principal(
        key=f"{kind}:x", display="x", kind=kind, roles={"flights": frozenset(roles)}, scopes=scopes
    )


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
def test_can__each_role_and_permission__as_granted(role: Role, permission: Permission) -> None:
    assert principal(role).can(permission, "flights") == (permission in GRANTS[role])


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
def test_can__team_of_others__never(role: Role, permission: Permission) -> None:
    assert not principal(role).can(permission, "fraud")


@pytest.mark.parametrize("role", list(Role))
def test_can__program__never_approves(role: Role) -> None:
    assert not principal(role, kind="service").can(Permission.APPROVE, "flights")


def test_can__system__everything_but_approve() -> None:
    refused = [one for one in Permission if not system("rollout").can(one, "flights")]
    assert refused == [Permission.APPROVE]


@pytest.mark.parametrize("permission", list(Permission))
def test_can__scoped__both_role_and_scope_are_needed(permission: Permission) -> None:
    scoped = principal(Role.ADMIN, scopes=frozenset({"view", "predict"}))
    assert scoped.can(permission, "flights") == (permission is Permission.VIEW)


def test_roles__several__add_up() -> None:
    both = principal(Role.ANALYST, Role.APPROVER)
    assert both.can(Permission.EXPERIMENT, "flights")
    assert both.can(Permission.APPROVE, "flights")


def test_roles__each__is_held_by_somebody() -> None:
    assert set(Role) == HUMAN_ROLES | SERVICE_ROLES


def test_authorise__refused__says_who_what_and_where() -> None:
    with pytest.raises(PermissionDenied, match="x may not roll back in team flights"):
        authorise(principal(Role.ANALYST), Permission.ROLL_BACK, team_key="flights")


def test_audited_teams__admin__all_and_others_their_own() -> None:
    assert principal(Role.ADMIN).audited_teams is None
    assert principal(Role.READ_ONLY).audited_teams == ["flights"]
    assert principal(Role.CLIENT).audited_teams == []
