"""Sessions: seen by their owner, ended when idle or old, and everywhere at once."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.accounts import services
from apps.accounts.access import Role
from apps.accounts.agents import browser_words
from apps.accounts.models import Session, User
from apps.accounts.sessions import delete_ended
from apps.events.models import Event
from tests.accounts import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return factories.user(Role.SCIENTIST, username="ada")


def browser() -> Client:
    client = Client(headers={"User-Agent": "Browser <7>"})
    client.post("/sign-in/", {"username": "ada", "password": factories.PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/security/").status_code == 200


def test_session__signed_in__row_knows_its_user_and_flags_are_strict(ada: User) -> None:
    client = browser()
    assert ada.sessions.get().session_key == client.session.session_key
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert 'title="Browser &lt;7&gt;">Browser<' in client.get("/security/").content.decode()


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko Firefox/130.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; like Mac OS X) Version/18.0 Safari/604.1", "Safari on iOS"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", ""),
    ],
)
def test_browser_words__agent__as_people_call_it(agent: str, words: str) -> None:
    assert browser_words(agent) == words


@pytest.mark.usefixtures("ada")
def test_session__signing_in__renews_the_key() -> None:
    client = Client()
    session = client.session
    session["planted"] = True
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = planted = str(session.session_key)
    client.post("/sign-in/", {"username": "ada", "password": factories.PASSWORD})
    assert client.session.session_key != planted
    assert not Session.objects.filter(session_key=planted).exists()


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("field", "limit"), [("seen_at", "SESSION_IDLE_S"), ("created_at", "SESSION_COOKIE_AGE")]
)
def test_session__past_its_limit__asks_to_sign_in_again(field: str, limit: str) -> None:
    client = browser()
    just = timezone.now() - timedelta(seconds=getattr(settings, limit))
    Session.objects.update(**{field: just + timedelta(minutes=5)})
    assert is_in(client)
    Session.objects.update(**{field: just})
    assert not is_in(client)
    assert delete_ended(now=timezone.now()) == 1


@pytest.mark.usefixtures("ada")
def test_session__saved_again__does_not_grow_younger() -> None:
    client = browser()
    began = timezone.now() - timedelta(hours=3)
    Session.objects.update(created_at=began)
    session = client.session
    session["more"] = 1
    session.save()
    assert Session.objects.get().created_at == began


@pytest.mark.usefixtures("ada")
def test_session__requests_within_a_minute__write_nothing() -> None:
    client = browser()
    seen = Session.objects.get().seen_at
    assert is_in(client)
    assert Session.objects.get().seen_at == seen
    Session.objects.update(seen_at=timezone.now() - timedelta(minutes=2))
    assert is_in(client)
    assert timezone.now() - Session.objects.get().seen_at < timedelta(minutes=1)


@pytest.mark.usefixtures("ada")
def test_sign_out_elsewhere__this_one_goes_on_and_the_log_knows() -> None:
    here, there = browser(), browser()
    assert here.post("/security/sign-out")["Location"] == "/security/"
    assert (is_in(here), is_in(there)) == (True, False)
    assert Event.objects.get(verb="user.signed_out").after == {"sessions_ended": 1}


def test_sessions__person_deactivated_or_signed_out_by_an_administrator__end(ada: User) -> None:
    client = browser()
    services.end_sessions(actor=factories.principal(Role.ADMIN), user=ada, reason="stolen")
    assert not is_in(client)
    client = browser()
    services.deactivate_user(actor=factories.TESTS, user=ada, reason="left")
    assert not is_in(client)
    assert not ada.sessions.exists()
