"""Changing one's own password with a browser."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from apps.accounts import services
from apps.accounts.access import Role
from apps.accounts.models import User
from apps.events.models import Event
from tests.accounts import factories

pytestmark = pytest.mark.django_db
NEW = "an entirely different phrase"


@pytest.fixture
def ada() -> User:
    return factories.user(Role.SCIENTIST, username="ada")


@pytest.fixture
def signed_in(ada: User) -> Client:
    return browser(factories.PASSWORD)


def browser(password: str) -> Client:
    client = Client()
    client.post("/sign-in/", {"username": "ada", "password": password})
    return client


def change(client: Client, **fields: str) -> Any:
    data = {"old_password": factories.PASSWORD, "new_password1": NEW, "new_password2": NEW}
    return client.post("/password/", {**data, **fields})


def faults(answer: Any) -> dict[str, list[str]]:
    """What the page says beside each of its fields."""
    return {name: list(texts) for name, texts in answer.context["form"].errors.items()}


def test_password_page__security_page__links_to_it(signed_in: Client) -> None:
    assert b'href="/password/"' in signed_in.get("/security/").content
    assert signed_in.get("/password/").status_code == 200


def test_password_page__right_input__changes_it_and_is_logged(signed_in: Client) -> None:
    assert change(signed_in)["Location"] == "/"
    assert "_auth_user_id" in browser(NEW).session
    assert "_auth_user_id" not in browser(factories.PASSWORD).session
    event = Event.objects.get(verb="user.password_changed")
    assert (event.object_key, event.actor_key) == ("user:ada", "user:ada")
    assert NEW not in str(event.after)


def test_password_page__changed__this_session_goes_on_and_others_end(signed_in: Client) -> None:
    elsewhere = browser(factories.PASSWORD)
    change(signed_in)
    assert signed_in.get("/password/").status_code == 200
    assert elsewhere.get("/password/").status_code == 302


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"old_password": "wrong"}, "old_password", "not your current password"),
        ({"old_password": ""}, "old_password", "required"),
        ({"new_password2": "other"}, "new_password2", "not the same"),
        ({"new_password1": "short", "new_password2": "short"}, "new_password2", "too short"),
        ({"new_password1": "password", "new_password2": "password"}, "new_password2", "common"),
    ],
)
def test_password_page__wrong_input__named_beside_its_field(
    signed_in: Client, fields: dict[str, str], field: str, words: str
) -> None:
    answer = change(signed_in, **fields)
    assert answer.status_code == 200
    assert words in " ".join(faults(answer)[field])
    assert f'id="id_{field}-error"' in answer.content.decode()
    assert not Event.objects.filter(verb="user.password_changed").exists()


def test_password_page__guessed_too_often__locked_even_with_the_right_one(
    signed_in: Client,
) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT):
        status = change(signed_in, old_password="wrong").status_code
    assert status == 429
    answer = change(signed_in)
    assert answer.status_code == 429
    assert b"Too many failed attempts" in answer.content
    assert not Event.objects.filter(verb="user.password_changed").exists()


def test_admin_password_page__leads_to_ours(signed_in: Client) -> None:
    assert signed_in.get("/admin/password_change/")["Location"] == "/password/"


def test_set_password__by_an_administrator__told_apart_in_the_log(ada: User) -> None:
    services.set_password(actor=factories.TESTS, user=ada, password=NEW, reason="forgotten")
    assert Event.objects.get(verb="user.password_set").reason == "forgotten"
