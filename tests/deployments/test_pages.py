"""Pages of rollouts, as people of different roles see them."""

import pytest

from apps.accounts.access import Role
from tests.deployments.ramps import Ramp, planned, started
from tests.pages import Window
from tests.registry.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> Window:
    return Window(make_user("olga", Role.OPERATOR))


@pytest.fixture
def ramp() -> Ramp:
    return started()


def page_of(ramp: Ramp) -> str:
    return f"/rollouts/{ramp.rollout.pk}/"


def test_rollout_list__none__says_so(olga: Window) -> None:
    assert "None is running." in olga.read("/rollouts/")


def test_rollout_list__by_state__each_in_its_tab(olga: Window, ramp: Ramp) -> None:
    assert "v1 → v2" in olga.read("/rollouts/")
    olga.send(page_of(ramp) + "rollback", reason="too slow")
    assert "v1 → v2" not in olga.read("/rollouts/")
    assert "too slow" in olga.read("/rollouts/?show=ended")


def test_rollout_list__tab_that_is_none__404(olga: Window) -> None:
    assert olga.client.get("/rollouts/?show=mine").status_code == 404


def test_rollout_page__before_its_first_tick__waits_for_the_candidate(olga: Window) -> None:
    page = olga.read(page_of(planned()))
    assert "Waiting for the candidate" in page


def test_rollout_page__many_verdicts__newest_ones(olga: Window, ramp: Ramp) -> None:
    for number in range(40):
        ramp.rollout.verdicts.create(
            step_index=0,
            metric="errors",
            verdict="inconclusive",
            sentence=f"sentence {number} " + "and so on " * 40,
            at=ramp.now,
        )
    page = olga.read(page_of(ramp))
    assert "Sentence 39 " in page
    assert "Sentence 5 " not in page


def test_rollout_page__unknown__404(olga: Window) -> None:
    assert olga.client.get("/rollouts/00000000-0000-0000-0000-000000000000/").status_code == 404


@pytest.mark.parametrize(
    ("action", "done", "state"),
    [
        ("pause", "paused", "paused"),
        ("promote", "moved on", "progressing"),
        ("rollback", "rolled back", "rolled_back"),
    ],
)
def test_action_form__with_reason__done_and_shown(
    olga: Window, ramp: Ramp, action: str, done: str, state: str
) -> None:
    page = olga.send(page_of(ramp) + action, reason="as we agreed")
    assert f"flights: {done}." in page
    assert "as we agreed" in page
    assert ramp.fresh().state == state


def test_resume_form__after_a_pause__goes_on(olga: Window, ramp: Ramp) -> None:
    olga.send(page_of(ramp) + "pause", reason="lunch")
    assert "Paused: lunch" in olga.read(page_of(ramp))
    assert "flights: resumed." in olga.send(page_of(ramp) + "resume", reason="back")


@pytest.mark.parametrize("action", ["pause", "resume", "promote", "rollback"])
def test_action_form__no_reason__field_named_and_nothing_done(
    olga: Window, ramp: Ramp, action: str
) -> None:
    status, text = olga.refused(page_of(ramp) + action, reason=" ")
    assert (status, "Reason: say why" in text) == (422, True)
    assert ramp.fresh().state == "progressing"


def test_action_form__state_that_does_not_allow_it__409_says_so(olga: Window, ramp: Ramp) -> None:
    status, text = olga.refused(page_of(ramp) + "resume", reason="r")
    assert status == 409
    assert "a rollout that is progressing cannot resume" in text


def test_action_form__over_meanwhile__409(olga: Window, ramp: Ramp) -> None:
    olga.send(page_of(ramp) + "rollback", reason="too slow")
    assert olga.refused(page_of(ramp) + "pause", reason="r")[0] == 409


def test_actions__approver__may_roll_back_and_nothing_else(ramp: Ramp) -> None:
    window = Window(make_user("grace", Role.APPROVER))
    page = window.read(page_of(ramp))
    assert "Roll back" in page
    assert "Pause…" not in page
    assert window.refused(page_of(ramp) + "pause", reason="r")[0] == 403
    assert "rolled back." in window.send(page_of(ramp) + "rollback", reason="r")


def test_actions__analyst__sees_and_may_do_nothing(ramp: Ramp) -> None:
    window = Window(make_user("anna", Role.ANALYST))
    assert "Roll back…" not in window.read(page_of(ramp))
    assert window.refused(page_of(ramp) + "rollback", reason="r")[0] == 403
    assert ramp.fresh().state == "progressing"
