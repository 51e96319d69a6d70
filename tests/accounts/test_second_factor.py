"""One-time codes: set up, asked at sign-in, spent once, and asked for by the policy."""

import re
from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client

from apps.accounts import second_factor, services
from apps.accounts.access import Permission, Role, authorise
from apps.accounts.errors import SecondFactorNeeded, TooManyAttempts
from apps.accounts.models import Token, User
from apps.accounts.principals import of_user
from apps.events.models import Event
from tests.accounts import codes, factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return factories.user(Role.APPROVER, username="ada")


def signed_in(client: Client, user: str = "ada") -> Client:
    data = {"username": user, "password": factories.PASSWORD}
    assert client.post("/sign-in/", data).status_code == 302
    return client


def opened(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.mark.usefixtures("ada")
def test_codes__set_up_on_the_page__sign_in_asks_for_one(client: Client) -> None:
    page = signed_in(client).get("/security/codes/").content.decode()
    found = re.search(r'id="secret">([A-Z2-7]+)<', page)
    assert found
    assert b"does not fit" in client.post("/security/codes/", {"code": "000000"}).content
    shown = client.post("/security/codes/", {"code": codes.code_of(found[1], steps=-1)})
    spare = re.findall(r"\b\d{8}\b", shown.content.decode())
    assert len(spare) == 10
    client.post("/sign-out/")
    answer = client.post("/sign-in/", {"username": "ada", "password": factories.PASSWORD})
    assert answer["Location"] == "/sign-in/code/"
    assert not opened(client)
    assert b"wrong" in client.post("/sign-in/code/", {"code": "1"}).content
    assert client.post("/sign-in/code/", {"code": codes.code_of(found[1])}).status_code == 302
    assert opened(client)
    signed = Event.objects.filter(verb="user.signed_in").latest("id")
    assert signed.after == {"with": ["password", "one-time code"]}


def test_code__page_without_a_password_before_it__sent_to_sign_in(client: Client) -> None:
    assert client.get("/sign-in/code/")["Location"] == "/sign-in/"


def test_code__spent__never_works_again(ada: User) -> None:
    secret, spare = codes.enable(ada)
    now = codes.code_of(secret)
    for code in (now, spare[0]):
        assert second_factor.use_code(user=ada, code=code) is not None
        assert second_factor.use_code(user=ada, code=code) is None
    assert second_factor.state_of(ada).recovery_left == 9


def test_code__ten_wrong_ones__even_the_right_one_waits(ada: User) -> None:
    secret, _ = codes.enable(ada)
    for _ in range(second_factor.LIMIT):
        assert second_factor.use_code(user=ada, code="wrong") is None
    with pytest.raises(TooManyAttempts):
        second_factor.use_code(user=ada, code=codes.code_of(secret))


def test_secret__at_rest__is_encrypted(ada: User) -> None:
    secret, spare = codes.enable(ada)
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in kept
    assert not [code for code in spare if code in kept]
    assert secret not in str(list(Event.objects.values()))


def test_codes__device_lost__administrator_takes_them_off(ada: User) -> None:
    codes.enable(ada)
    admin = factories.principal(Role.ADMIN)
    services.disable_codes(actor=admin, user=ada, reason="phone lost, called back")
    assert second_factor.state_of(ada).enabled_at is None
    assert Event.objects.get(verb="user.codes_disabled").reason == "phone lost, called back"


def test_policy__approver_without_codes__refused_with_the_page_named(
    client: Client, ada: User, configure: Callable[..., None]
) -> None:
    configure(require_totp=True)
    with pytest.raises(SecondFactorNeeded, match="/security/"):
        authorise(of_user(ada), Permission.APPROVE, team_key="flights")
    authorise(of_user(ada), Permission.VIEW, team_key="flights")
    assert b"only with one-time codes" in signed_in(client).get("/security/").content
    codes.enable(ada)
    authorise(of_user(ada), Permission.APPROVE, team_key="flights")


def test_policy__administrator_over_rest__problem_says_what_to_do(
    client: Client, configure: Callable[..., None]
) -> None:
    headers = factories.bearer(Role.ADMIN)
    configure(require_totp=True)
    body = {"key": "fraud", "name": "Fraud"}
    kind = "application/json"
    answer = client.post("/api/v1/teams", body, content_type=kind, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:switchyard:problem:second-factor-needed"
    assert "/security/" in answer.json()["detail"]


def test_confirm__session_that_is_old__asked_before_a_token_is_made(
    client: Client, ada: User, configure: Callable[..., None]
) -> None:
    secret, _ = codes.enable(ada)
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    token = {"name": "mine", "days": "7"}
    assert client.post("/security/tokens", token)["Location"].startswith("/security/confirm/")
    assert not Token.objects.filter(user=ada).exists()
    refused = client.post("/security/confirm/", {"password": "wrong", "next": "/security/"})
    assert b"not your password" in refused.content
    key = client.session.session_key
    proof = {"code": codes.code_of(secret), "next": "//evil.example/"}
    assert client.post("/security/confirm/", proof)["Location"] == "/security/"
    assert client.session.session_key != key
    assert b"swy_" in client.post("/security/tokens", token).content
    configure(step_up_s=0)
    assert client.post("/security/tokens", token).status_code == 302
    assert Token.objects.filter(user=ada).count() == 1


def test_confirm__over_rest_in_an_old_session__403_and_bearer_goes_on(
    client: Client, ada: User
) -> None:
    body = {"name": "mine", "expires_at": "2027-01-01T00:00:00Z"}
    headers = {"Authorization": f"Bearer {factories.token(ada)[1]}"}
    kind = "application/json"
    assert client.post("/api/v1/me/tokens", body, kind, headers=headers).status_code == 201
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post("/api/v1/me/tokens", body, kind)
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:switchyard:problem:confirmation-needed"
