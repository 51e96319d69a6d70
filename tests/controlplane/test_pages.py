"""Pages that join every floor: home, search and the audit trail."""

import pytest

from apps.accounts.access import Role
from apps.events.models import Event
from tests.deployments.ramps import started
from tests.pages import Window
from tests.registry.factories import asked, make_user, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace() -> Window:
    return Window(make_user("grace", Role.APPROVER))


def test_home__nothing_there__says_so(grace: Window) -> None:
    page = grace.read("/")
    assert "Nothing waits for you" in page
    assert "Nothing is moving" in page


def test_home__request_of_another__waits_for_the_approver_alone(grace: Window) -> None:
    asked()
    assert "flights v1 → staging" in grace.read("/")
    assert "1 waiting for you." in grace.read("/")
    assert "Nothing waits for you" in Window(make_user("ada", Role.SCIENTIST)).read("/")


def test_home__paused_rollout__needs_somebody(grace: Window) -> None:
    ramp = started()
    assert "flights: v2" in grace.read("/")
    Window(make_user("olga", Role.OPERATOR)).send(
        f"/rollouts/{ramp.rollout.pk}/pause", reason="look first"
    )
    assert "Paused: look first" in grace.read("/")


def test_search__by_part_of_a_name__finds_each_kind(grace: Window) -> None:
    started()
    make_version(number=7, semantic_version="2.0.1")
    assert {"model", "endpoint"} <= set(grace.read("/search?q=flig").split())
    assert "flights 2.0.1" in grace.read("/search?q=2.0")
    assert "person" in grace.read("/search?q=grac")


def test_search__hostile_or_unknown__is_shown_as_text(grace: Window) -> None:
    page = grace.html("/search?q=<script>x")
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page


def test_search__nothing_asked__nothing_answered(grace: Window) -> None:
    assert grace.read("/search?q=+") == ""


def test_audit__filter_that_fits_none__says_so(grace: Window) -> None:
    assert "No event fits" in grace.read("/audit/?verb=moon.landed")


def test_audit__more_than_a_page__filters_stay_on_the_way(grace: Window) -> None:
    for number in range(60):
        Event.objects.create(
            actor_key="user:ada", verb="model.updated", object_key=f"model:m{number}", reason="r"
        )
    page = grace.html("/audit/?actor=user:ada")
    assert page.count("<tr>") == 51
    assert 'href="?actor=user%3Aada&amp;before=' in page
    assert "/api/v1/events.csv?actor=user%3Aada" in page


def test_audit__other_teams__not_shown(grace: Window) -> None:
    Event.objects.create(
        actor_key="user:eve", verb="model.updated", object_key="model:x", team_key="fraud"
    )
    assert "No event fits" in grace.read("/audit/?actor=user:eve")


def test_refusal__from_elsewhere__offers_no_way_back_there(grace: Window) -> None:
    request = asked()
    answer = grace.client.post(
        f"/approvals/{request.pk}/reject", headers={"Referer": "https://evil.example/"}
    )
    assert "evil.example" not in answer.content.decode()
