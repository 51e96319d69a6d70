"""People, teams, programs and tokens through the services."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import identify_hasher
from django.utils import timezone

from apps.accounts import selectors, services
from apps.accounts.access import Permission, Role
from apps.accounts.errors import AlreadyDone, NameTaken, NotSignedIn, PermissionDenied
from apps.accounts.models import ServiceAccount, Token
from apps.accounts.principals import of_service_account, of_token, of_user
from apps.events.errors import Invalid
from apps.events.models import Event
from tests.accounts import factories

pytestmark = pytest.mark.django_db


def test_create_user__by_scientist__refused() -> None:
    with pytest.raises(PermissionDenied):
        services.create_user(
            actor=factories.principal(Role.SCIENTIST), username="x", password="long enough 1"
        )


def test_create_user__weak_password__names_the_field() -> None:
    with pytest.raises(Invalid) as caught:
        services.create_user(actor=factories.TESTS, username="x", password="123")
    assert caught.value.field == "password"


def test_create_user__bad_name__names_the_field() -> None:
    with pytest.raises(Invalid) as caught:
        services.create_user(actor=factories.TESTS, username="a b", password="long enough 1")
    assert caught.value.field == "username"


def test_create_user__name_taken__refused() -> None:
    factories.user(username="ada")
    with pytest.raises(NameTaken):
        factories.user(username="ada")


def test_create_user__made__password_hashed_and_event_recorded() -> None:
    user = factories.user(username="ada")
    assert identify_hasher(user.password)
    assert Event.objects.for_object("user:ada").get().verb == "user.created"


def test_create_team__by_person__makes_them_its_administrator() -> None:
    admin = factories.user(Role.ADMIN)
    services.create_team(actor=of_user(admin), key="fraud", name="Fraud")
    assert of_user(admin).can(Permission.ADMINISTER, "fraud")


def test_add_member__admin_role__opens_the_admin_and_removal_closes_it() -> None:
    user = factories.user(Role.ADMIN)
    assert user.is_staff
    services.remove_member(
        actor=factories.TESTS, user=user, team=factories.team(), role=Role.ADMIN, reason="left"
    )
    user.refresh_from_db()
    assert not user.is_staff


@pytest.mark.parametrize("role", [Role.CI, Role.CLIENT])
def test_add_member__service_role__refused(role: Role) -> None:
    with pytest.raises(Invalid):
        factories.user(role)


def test_add_member__admin_of_another_team__refused() -> None:
    factories.team("fraud")
    with pytest.raises(PermissionDenied):
        services.add_member(
            actor=factories.principal(Role.ADMIN, team_key="fraud"),
            user=factories.user(),
            team=factories.team("flights"),
            role=Role.APPROVER,
        )


def test_deactivate_user__token_of_theirs__works_no_longer() -> None:
    user = factories.user(Role.SCIENTIST)
    _, text = factories.token(user)
    services.deactivate_user(actor=factories.TESTS, user=user, reason="left")
    with pytest.raises(NotSignedIn):
        of_token(text, now=timezone.now())


@pytest.mark.parametrize("role", [Role.APPROVER, Role.ADMIN])
def test_service_account__role_that_signs__refused(role: Role) -> None:
    with pytest.raises(Invalid) as caught:
        factories.service_account(role)
    assert caught.value.field == "role"


@pytest.mark.parametrize("role", list(Role))
def test_service_account__whatever_role__never_approves(role: Role) -> None:
    account = factories.service_account()
    account.role = role.value  # as if the table had been changed by hand
    assert not of_service_account(account).can(Permission.APPROVE, "flights")


def test_issue_token__text__is_kept_nowhere() -> None:
    account = factories.service_account()
    token, text = factories.token(account)
    assert text.startswith("swy_")
    assert text not in str(Token.objects.filter(pk=token.pk).values())
    assert text not in str(list(Event.objects.values()))


def test_issue_token__digest__in_no_event() -> None:
    token, _ = factories.token(factories.service_account())
    assert token.digest not in str(list(Event.objects.values()))


def test_token__scoped__narrows_the_roles() -> None:
    _, text = factories.token(factories.user(Role.SCIENTIST), scopes=["view"])
    principal = of_token(text, now=timezone.now())
    assert principal.can(Permission.VIEW, "flights")
    assert not principal.can(Permission.DEPLOY, "flights")


def test_token__scope_beyond_role__adds_nothing() -> None:
    _, text = factories.token(factories.user(Role.READ_ONLY), scopes=["view", "deploy"])
    assert not of_token(text, now=timezone.now()).can(Permission.DEPLOY, "flights")


def test_token__expired__refused() -> None:
    _, text = factories.token(factories.service_account(), days=1)
    with pytest.raises(NotSignedIn):
        of_token(text, now=timezone.now() + timedelta(days=2))


def test_token__disabled_account__refused_until_enabled() -> None:
    account = factories.service_account()
    _, text = factories.token(account)
    services.disable_service_account(actor=factories.TESTS, account=account, reason="leak")
    with pytest.raises(NotSignedIn):
        of_token(text, now=timezone.now())
    services.enable_service_account(actor=factories.TESTS, account=account, reason="cleared")
    assert of_token(text, now=timezone.now()).key == account.key


def test_token__of_program__carries_the_responsible_human() -> None:
    account = factories.service_account()
    _, text = factories.token(account)
    principal = of_token(text, now=timezone.now())
    assert principal.human_key == account.responsible.key


@pytest.mark.parametrize("days", [-1, 400])
def test_issue_token__bad_expiry__refused(days: float) -> None:
    with pytest.raises(Invalid) as caught:
        factories.token(factories.service_account(), days=days)
    assert caught.value.field == "expires_at"


def test_issue_token__unknown_scope__refused() -> None:
    with pytest.raises(Invalid) as caught:
        factories.token(factories.service_account(), scopes=["everything"])
    assert caught.value.field == "scopes"


def test_issue_token__for_another_person__refused_even_to_admin() -> None:
    with pytest.raises(PermissionDenied):
        services.issue_token(
            actor=factories.principal(Role.ADMIN),
            owner=factories.user(Role.APPROVER),
            name="second pair of eyes",
            expires_at=timezone.now() + timedelta(days=1),
        )


def test_issue_token__by_scoped_token__cannot_widen() -> None:
    user = factories.user(Role.SCIENTIST)
    actor = of_user(user, scopes=frozenset({"view"}))
    with pytest.raises(PermissionDenied):
        services.issue_token(
            actor=actor, owner=user, name="more", expires_at=timezone.now() + timedelta(days=1)
        )


def test_issue_token__by_responsible_human__allowed() -> None:
    account = factories.service_account()
    services.issue_token(
        actor=of_user(account.responsible),
        owner=account,
        name="ci",
        expires_at=timezone.now() + timedelta(days=1),
    )
    assert account.tokens.count() == 1


def test_rotate_token__no_overlap__old_ends_new_works() -> None:
    token, old = factories.token(factories.service_account(), scopes=["view"])
    fresh, text = services.rotate_token(
        actor=factories.TESTS, token=token, expires_at=timezone.now() + timedelta(days=1)
    )
    assert fresh.scopes == ["view"]
    assert of_token(text, now=timezone.now()).key.startswith("service:")
    with pytest.raises(NotSignedIn):
        of_token(old, now=timezone.now())


def test_rotate_token__overlap__old_works_until_its_end() -> None:
    token, old = factories.token(factories.service_account())
    services.rotate_token(
        actor=factories.TESTS,
        token=token,
        expires_at=timezone.now() + timedelta(days=1),
        overlap=timedelta(hours=1),
    )
    assert of_token(old, now=timezone.now())
    with pytest.raises(NotSignedIn):
        of_token(old, now=timezone.now() + timedelta(hours=2))


def test_revoke_token__twice__says_so() -> None:
    token, _ = factories.token(factories.service_account())
    services.revoke_token(actor=factories.TESTS, token=token, reason="leak")
    with pytest.raises(AlreadyDone):
        services.revoke_token(actor=factories.TESTS, token=token, reason="leak")


def test_revoke_token__reason__is_in_the_log() -> None:
    token, _ = factories.token(factories.service_account())
    services.revoke_token(actor=factories.TESTS, token=token, reason="seen in a log file")
    event = Event.objects.for_object(token.key).first()
    assert event is not None
    assert (event.verb, event.reason) == ("token.revoked", "seen in a log file")


def test_clients_document__live_client__is_listed_with_its_limits() -> None:
    account = factories.service_account(
        Role.CLIENT, endpoints=("flights",), requests_per_second=50.0
    )
    token, _ = factories.token(account)
    (client,) = selectors.clients_document(7).clients
    assert client.key_digests == {token.digest: token.expires_at.timestamp()}
    assert (client.endpoints, client.requests_per_second) == (("flights",), 50.0)


def test_clients_document__ci_disabled_revoked_and_narrowed__are_left_out() -> None:
    factories.token(factories.service_account(Role.CI))
    disabled, revoked, narrowed = (factories.service_account(Role.CLIENT) for _ in range(3))
    factories.token(disabled)
    services.disable_service_account(actor=factories.TESTS, account=disabled, reason="leak")
    services.revoke_token(actor=factories.TESTS, token=factories.token(revoked)[0], reason="leak")
    factories.token(narrowed, scopes=["view"])
    assert ServiceAccount.objects.count() == 4
    assert selectors.clients_document(1).clients == ()


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"requests_per_second": -1.0}, "requests_per_second"),
        ({"requests_per_second": float("nan")}, "requests_per_second"),
        ({"burst": 10}, "burst"),
        ({"requests_per_second": 1.0, "burst": -1}, "burst"),
        ({"tier": "Gold Plated"}, "tier"),
        ({"budget": -0.5}, "budget"),
    ],
)
def test_limits__that_make_no_sense__field_named(limits: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        factories.service_account(Role.CLIENT, **limits)
    assert caught.value.field == field


def test_limits__of_a_program_that_is_no_client__refused() -> None:
    with pytest.raises(Invalid) as caught:
        factories.service_account(Role.CI, tier="gold")
    assert caught.value.field == "tier"


def test_limit_service_account__changed__told_with_before_and_reason() -> None:
    account = factories.service_account(Role.CLIENT, requests_per_second=10.0, tier="gold")
    factories.token(account)
    wanted = services.ClientLimits(requests_per_second=5.0, burst=50, budget=0.25)
    services.limit_service_account(
        actor=factories.TESTS, account=account, limits=wanted, reason="noon batch"
    )
    event = Event.objects.for_object(account.key).get(verb="service_account.limited")
    assert isinstance(event.before, dict)
    assert isinstance(event.after, dict)
    assert (event.before["tier"], event.after["burst"], event.reason) == ("gold", 50, "noon batch")
    (client,) = selectors.clients_document(1).clients
    assert (client.requests_per_second, client.burst, client.tier, client.budget) == (
        5.0,
        50,
        "",
        0.25,
    )
