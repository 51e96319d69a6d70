"""Signing in with an identity provider: a real one in miniature, on loopback."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client
from pydantic import SecretStr

from apps.accounts import oidc, services
from apps.accounts.access import Role
from apps.accounts.models import User
from apps.events.errors import Invalid
from apps.events.models import Event
from controlplane.checks import check_identity_provider
from tests.accounts import codes, factories, provider
from tests.accounts.provider import Provider

pytestmark = pytest.mark.django_db
OLGA = {
    "sub": "subject-7",
    "preferred_username": "olga",
    "email": "olga@example.org",
    "email_verified": True,
    "name": "Olga Ilves",
    "groups": ["ml-approvers", "everybody"],
}
Configure = Callable[..., None]


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with provider.running() as started:
        yield started


@pytest.fixture
def idp(running: Provider, configure: Configure) -> Provider:
    running.claims, running.spoil, running.forge = dict(OLGA), {}, False
    configure(
        oidc_issuer=running.issuer,
        oidc_client_id=provider.CLIENT,
        oidc_client_secret=SecretStr(provider.SECRET),
        oidc_name="Example SSO",
        oidc_allowed_domains="example.org",
        oidc_group_roles="ml-approvers=flights:approver,ml-ops=flights:operator",
        oidc_default_team="flights",
    )
    factories.team()
    return running


def walk(client: Client, **fields: str) -> Any:
    """Press the button, go to the provider and come back; the answer to coming back."""
    page = client.post("/sign-in/oidc/", fields).content.decode()
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page)
    assert found
    sent = requests.get(unescape(found[1]), allow_redirects=False, timeout=5)
    back = urlsplit(sent.headers["Location"])
    assert back.path == "/sign-in/oidc/back/"
    return client.get(f"{back.path}?{back.query}")


def opened(client: Client) -> bool:
    return "_auth_user_id" in client.session


def roles(username: str = "olga") -> set[str]:
    return set(User.objects.get(username=username).memberships.values_list("role", flat=True))


@pytest.mark.usefixtures("idp")
def test_oidc__first_visit__person_is_made_with_the_roles_of_their_groups(client: Client) -> None:
    assert b"Example SSO" in client.get("/sign-in/").content
    answer = walk(client, next="/teams/")
    assert answer["Location"] == "/teams/"
    assert opened(client)
    olga = User.objects.get(username="olga")
    assert (olga.get_full_name(), olga.email) == ("Olga Ilves", "olga@example.org")
    assert not olga.has_usable_password()
    assert roles() == {"approver"}
    verbs = list(Event.objects.for_object("user:olga").values_list("verb", flat=True))
    assert verbs == ["user.signed_in", "membership.added", "user.provisioned"]


def test_oidc__groups_changed__roles_follow_and_those_given_here_stay(
    client: Client, idp: Provider
) -> None:
    walk(client)
    olga = User.objects.get(username="olga")
    services.add_member(
        actor=factories.TESTS, user=olga, team=factories.team(), role=Role.ANALYST, reason="here"
    )
    idp.claims["groups"] = ["ml-ops"]
    walk(Client())
    assert roles() == {"operator", "analyst"}
    assert User.objects.count() == 1


def test_oidc__no_mapped_group__least_role(client: Client, idp: Provider) -> None:
    idp.claims["groups"] = []
    walk(client)
    assert roles() == {"readonly"}


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "olga@elsewhere.org"},
        {"email_verified": False},
        {"email": None},
        {"email": "olga@example.org.evil.net"},
    ],
)
def test_oidc__address_not_allowed__refused_and_nobody_is_made(
    client: Client, idp: Provider, claims: dict[str, object]
) -> None:
    idp.claims.update(claims)
    answer = walk(client)
    assert answer.status_code == 403
    assert b"may not sign in here" in answer.content
    assert not opened(client)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "spoil",
    [{"iss": "https://evil.example"}, {"aud": "another"}, {"exp": 1}, {"sub": "another"}, "forged"],
)
def test_oidc__id_token_not_sound__refused(
    client: Client, idp: Provider, spoil: dict[str, object] | str
) -> None:
    idp.forge = spoil == "forged"
    idp.spoil = spoil if isinstance(spoil, dict) else {}
    assert walk(client).status_code == 403
    assert not opened(client)
    assert not User.objects.exists()


@pytest.mark.usefixtures("idp")
def test_oidc__state_of_another_browser__refused(client: Client) -> None:
    assert client.get("/sign-in/oidc/back/?code=x&state=forged").status_code in (302, 403)
    assert not opened(client)


@pytest.mark.usefixtures("idp")
@pytest.mark.parametrize("field", ["username", "email"])
def test_oidc__local_namesake__not_taken_over_but_may_connect(client: Client, field: str) -> None:
    local = factories.user(Role.SCIENTIST, username="olga" if field == "username" else "oi")
    User.objects.filter(pk=local.pk).update(email="Olga@example.org")
    assert walk(client).status_code == 403
    assert not opened(client)
    client.post("/sign-in/", {"username": local.username, "password": factories.PASSWORD})
    assert walk(client, process="connect")["Location"] == "/security/"
    assert walk(Client()).status_code == 302
    assert roles(local.username) == {"scientist", "approver"}
    assert client.post("/security/disconnect", {"reason": "leaves the provider"}).status_code == 302
    assert walk(Client()).status_code == 403


@pytest.mark.usefixtures("idp")
def test_oidc__one_time_codes_set_up__asked_for_here_too(client: Client) -> None:
    walk(client)
    codes.enable(User.objects.get(username="olga"))
    answer = walk(fresh := Client())
    assert answer["Location"] == "/sign-in/code/"
    assert not opened(fresh)


@pytest.mark.usefixtures("idp")
def test_oidc__deactivated__refused(client: Client) -> None:
    walk(client)
    olga = User.objects.get(username="olga")
    services.deactivate_user(actor=factories.TESTS, user=olga, reason="left")
    assert b"deactivated" in walk(fresh := Client()).content
    assert not opened(fresh)


def test_oidc__leaving__carries_state_and_pkce_and_asks_for_a_new_proof(
    client: Client, idp: Provider
) -> None:
    page = client.post("/sign-in/oidc/", {"again": "1"}).content.decode()
    found = re.search(r"url=([^\"]+)\"", page)
    assert found
    asked = parse_qs(urlsplit(unescape(found[1])).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert (asked["prompt"], asked["client_id"]) == (["login"], [provider.CLIENT])
    assert len(asked["state"][0]) >= 16
    assert client.get("/sign-in/oidc/").status_code == 405


def test_oidc__provider_away__said_on_the_sign_in_page(
    client: Client, idp: Provider, configure: Configure
) -> None:
    configure(oidc_issuer="http://127.0.0.1:9")
    answer = client.post("/sign-in/oidc/")
    assert answer.status_code == 403
    assert b"does not answer" in answer.content


def test_oidc__not_configured__no_button_and_no_routes(client: Client) -> None:
    assert b"Single sign-on" not in client.get("/sign-in/").content
    assert client.post("/sign-in/oidc/").status_code == 404
    assert client.get("/sign-in/oidc/back/").status_code == 404


@pytest.mark.parametrize("text", ["ops", "ops=flights", "ops=flights:ci", "=flights:admin"])
def test_group_roles__not_to_be_read__the_process_does_not_start(
    text: str, configure: Configure
) -> None:
    with pytest.raises(Invalid):
        oidc.parse_group_roles(text)
    configure(oidc_group_roles=text, oidc_issuer="http://sso.example", oidc_client_id="")
    found = [message.id for message in check_identity_provider()]
    assert found == ["switchyard.E040", "switchyard.E041", "switchyard.E042"]
