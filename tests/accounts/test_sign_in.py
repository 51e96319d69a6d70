"""Signing in and out with a browser."""

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.test import Client

from apps.accounts import services, throttle
from apps.accounts.access import Role
from apps.accounts.models import User
from apps.events.models import Event
from tests.accounts import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return factories.user(Role.SCIENTIST, username="ada")


def sign_in(client: Client, password: str = factories.PASSWORD, **more: str) -> int:
    data = {"username": "ada", "password": password, **more}
    return client.post("/sign-in/", data).status_code


def test_sign_in__page__shows_the_form(client: Client) -> None:
    answer = client.get("/sign-in/")
    assert answer.status_code == 200
    assert b'name="password"' in answer.content


@pytest.mark.usefixtures("ada")
def test_sign_in__right_password__opens_a_session_and_is_logged(client: Client) -> None:
    assert sign_in(client) == 302
    assert "_auth_user_id" in client.session
    assert Event.objects.for_object("user:ada").filter(verb="user.signed_in").count() == 1


@pytest.mark.usefixtures("ada")
def test_sign_in__wrong_password__says_no_more_than_that(client: Client) -> None:
    answer = client.post("/sign-in/", {"username": "ada", "password": "wrong"})
    assert answer.status_code == 200
    assert b"do not go together" in answer.content


@pytest.mark.parametrize("field", ["username", "password"])
def test_sign_in__field_left_empty__named_beside_it(client: Client, field: str) -> None:
    data = {"username": "ada", "password": "x", field: ""}
    answer = client.post("/sign-in/", data)
    _, _, after = answer.content.decode().partition(f'name="{field}"')
    assert "This field is required." in after.partition("</div>")[0]


def test_sign_in__name_longer_than_any__refused_in_words(client: Client) -> None:
    answer = client.post("/sign-in/", {"username": "a" * 5_000, "password": "x"})
    assert answer.status_code == 200
    assert b"at most" in answer.content


def test_sign_in__deactivated__refused(client: Client, ada: User) -> None:
    services.deactivate_user(actor=factories.TESTS, user=ada, reason="left")
    assert sign_in(client) == 200
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("ada")
def test_sign_in__too_many_failures__locked_even_with_the_right_password(client: Client) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        status = sign_in(client, "wrong")
    assert status == 429
    answer = client.post("/sign-in/", {"username": "ada", "password": factories.PASSWORD})
    assert answer.status_code == 429
    assert b"Too many failed attempts" in answer.content


@pytest.mark.usefixtures("ada")
def test_sign_in__address_that_tries_many_names__locked_whatever_the_name(client: Client) -> None:
    for name in ("grace", "alan"):
        client.post("/sign-in/", {"username": name, "password": "wrong"})
    AccessAttempt.objects.update(failures_since_start=throttle.LIMIT // 2)
    assert sign_in(client) == 200
    assert "_auth_user_id" not in client.session
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert sign_in(elsewhere) == 302


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/"])
def test_sign_in__next_elsewhere__not_followed(client: Client, target: str) -> None:
    data = {"username": "ada", "password": factories.PASSWORD, "next": target}
    assert client.post("/sign-in/", data)["Location"] == "/"


@pytest.mark.usefixtures("ada")
def test_sign_out__get__does_nothing_and_post_ends_the_session(client: Client) -> None:
    sign_in(client)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert "_auth_user_id" not in client.session
