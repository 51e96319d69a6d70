"""Pages of teams, people, service accounts and tokens."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts import services
from apps.accounts.access import Role
from apps.accounts.errors import NotSignedIn
from apps.accounts.models import ServiceAccount, Token, User
from apps.accounts.principals import of_token
from apps.accounts.selectors import clients_document
from apps.events.errors import Invalid
from apps.events.models import Event
from tests.accounts import factories
from tests.pages import Window

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Window:
    return proven(factories.user(Role.ADMIN, username="ada"))


def proven(user: User) -> Window:
    """A window of somebody who has just signed in with their password."""
    window = Window(user)
    window.client.logout()
    window.send("/sign-in/", username=user.username, password=factories.PASSWORD)
    return window


def token_in(page: str) -> str:
    found = re.search(r"swy_[\w-]{40,}", page)
    assert found, page
    return found[0]


def test_team_page__role_given_and_taken__with_reasons_on_the_timeline(admin: Window) -> None:
    factories.user(username="grace")
    given = {"username": "grace", "role": "approver"}
    assert admin.refused("/teams/flights/members/add", **given)[0] == 422
    page = admin.send("/teams/flights/members/add", **given, reason="joins the on-call")
    assert "grace is approver now" in page
    assert "“joins the on-call”" in page
    page = admin.send("/teams/flights/members/remove", **given, reason="goes on leave")
    assert "grace is approver no longer" in page
    reasons = Event.objects.for_object("user:grace").filter(verb__startswith="membership.")
    assert list(reasons.values_list("reason", flat=True)) == ["goes on leave", "joins the on-call"]


def test_team_page__last_administrator__stays_until_there_is_another(admin: Window) -> None:
    taken = {"username": "ada", "role": "admin", "reason": "enough"}
    assert admin.refused("/teams/flights/members/remove", **taken)[0] == 409
    factories.user(Role.ADMIN)
    assert admin.client.post("/teams/flights/members/remove", taken).status_code == 302


def test_teams__made_on_the_page__maker_administers_it(admin: Window) -> None:
    page = admin.send("/teams/add", key="fraud", name="Fraud")
    assert "Fraud" in page
    assert "admin" in page
    assert admin.refused("/teams/add", key="with a space", name="X")[0] == 422
    assert admin.refused("/teams/add", key="fraud", name="X")[0] == 409


def test_people__added_and_deactivated__programs_are_orphaned(admin: Window) -> None:
    names = {"username": "linus", "first_name": "Linus", "password": "a quite long first one"}
    assert "No role" in admin.send("/people/add", **names)
    assert "linus" in admin.read("/people/?q=Linus")
    program = factories.service_account(Role.CI, name="nightly")
    linus = User.objects.get(username="linus")
    services.hand_over_service_account(
        actor=factories.TESTS, account=program, responsible=linus, reason="his now"
    )
    assert "nightly" in admin.read("/people/linus/")
    assert "deactivated" in admin.send("/people/linus/deactivate", reason="left the company")
    assert "nobody answers" in admin.read("/service-accounts/?state=orphaned")
    assert "stop working" in admin.read("/service-accounts/nightly/")
    event = Event.objects.get(verb="service_account.orphaned")
    assert (event.object_key, event.reason) == ("service:nightly", "left the company")
    page = admin.send("/service-accounts/nightly/hand-over", responsible="ada", reason="mine")
    assert "nobody answers" not in page
    assert ServiceAccount.objects.get(name="nightly").orphaned_at is None


def test_orphan__grace_over__refused_but_clients_still_predict(
    configure: Callable[..., None],
) -> None:
    texts = {}
    for role in (Role.CI, Role.CLIENT):
        account = factories.service_account(role)
        texts[role] = factories.token(account)[1]
        services.deactivate_user(actor=factories.TESTS, user=account.responsible, reason="left")
    assert of_token(texts[Role.CI], now=timezone.now()).kind == "service"
    configure(orphan_grace_days=0)
    with pytest.raises(NotSignedIn):
        of_token(texts[Role.CI], now=timezone.now())
    assert len(clients_document(1).clients) == 1
    left = ServiceAccount.objects.get(role="ci").responsible
    services.activate_user(actor=factories.TESTS, user=left, reason="is back")
    assert of_token(texts[Role.CI], now=timezone.now()).kind == "service"


def test_hand_over__to_somebody_who_left__refused() -> None:
    account, gone = factories.service_account(), factories.user()
    services.deactivate_user(actor=factories.TESTS, user=gone, reason="left")
    with pytest.raises(Invalid, match="deactivated"):
        services.hand_over_service_account(
            actor=factories.TESTS, account=account, responsible=gone, reason="x"
        )


def test_service_account_page__token_made_replaced_and_revoked(admin: Window) -> None:
    new = {"name": "nightly", "team": "flights", "role": "ci", "responsible": "ada"}
    admin.send("/service-accounts/add", **new)
    issued = {"name": "pipeline", "days": "7", "scopes": ["view", "register"]}
    old = token_in(admin.send("/service-accounts/nightly/tokens", **issued))
    token = Token.objects.get()
    assert token.scopes == ["register", "view"]
    page = admin.read("/service-accounts/nightly/")
    assert "expires soon" in page
    assert old not in page
    replaced = {"days": "90", "overlap_s": "3600", "reason": "monthly"}
    fresh = token_in(admin.send(f"/tokens/{token.pk}/rotate", **replaced))
    token.refresh_from_db()
    assert token.expires_at - timezone.now() < timedelta(hours=1, minutes=1)
    for text in (old, fresh):
        assert of_token(text, now=timezone.now()).key == "service:nightly"
    assert admin.refused(f"/tokens/{token.pk}/revoke")[0] == 422
    assert "is revoked" in admin.send(f"/tokens/{token.pk}/revoke", reason="leaked")
    with pytest.raises(NotSignedIn):
        of_token(old, now=timezone.now())
    verbs = set(Event.objects.for_object(token.key).values_list("verb", flat=True))
    assert verbs == {"token.issued", "token.rotated", "token.revoked"}
    assert "disabled" in admin.send("/service-accounts/nightly/disable", reason="drill")


def test_service_account_page__scientist__sees_and_changes_nothing() -> None:
    account = factories.service_account()
    window = proven(factories.user(Role.SCIENTIST))
    assert "New token" not in window.read(f"/service-accounts/{account.name}/")
    path = f"/service-accounts/{account.name}"
    assert window.refused(f"{path}/tokens", name="x", days="7")[0] == 403
    assert window.refused(f"{path}/disable", reason="x")[0] == 403
    assert not Token.objects.exists()


def test_own_tokens__made_on_the_security_page__listed_without_their_text() -> None:
    window = proven(factories.user(Role.SCIENTIST, username="sofia"))
    text = token_in(window.send("/security/tokens", name="laptop", days="30"))
    assert of_token(text, now=timezone.now()).key == "user:sofia"
    page = window.read("/security/")
    assert "laptop" in page
    assert text not in page
    assert window.refused("/security/tokens", name="laptop", days="10000")[0] == 422
    assert window.refused("/security/tokens", name="", days="7")[0] == 422


def test_people_page__administrator_signs_somebody_out(admin: Window) -> None:
    sofia = factories.user(Role.SCIENTIST, username="sofia")
    proven(sofia)
    assert "Sign out everywhere" in admin.read("/people/sofia/")
    admin.send("/people/sofia/sign-out", reason="laptop stolen")
    assert not sofia.sessions.exists()
    assert admin.refused("/people/sofia/promote", reason="x")[0] == 404
