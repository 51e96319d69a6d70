"""Pages of experiments, as people of different roles see them."""

import pytest

from apps.accounts.access import Role
from apps.experiments.models import Experiment
from tests.experiments.factories import draft, start
from tests.pages import Window
from tests.registry.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna() -> Window:
    return Window(make_user("anna", Role.ANALYST))


@pytest.fixture
def experiment() -> Experiment:
    return draft()


def page_of(experiment: Experiment) -> str:
    return f"/experiments/{experiment.pk}/"


def test_experiment_list__none__says_how_to_make_one(anna: Window) -> None:
    assert "No experiments yet" in anna.read("/experiments/")


def test_experiment_list__many_with_long_texts__a_page_of_shortened_ones(
    anna: Window, experiment: Experiment
) -> None:
    for number in range(60):
        Experiment.objects.create(
            name=f"{number} " + "x" * 110,
            endpoint=experiment.endpoint,
            hypothesis="more of it " * 300,
            created_by="user:anna",
        )
    page = anna.html("/experiments/")
    assert page.count("<tr>") == 51
    assert 'rel="next"' in page
    assert "more of it " * 12 not in page


def test_experiment_page__draft__can_be_started_only(anna: Window, experiment: Experiment) -> None:
    page = anna.read(page_of(experiment))
    assert "A draft: nobody is in it yet" in page
    assert "Start…" in page
    assert "Stop…" not in page


def test_experiment_page__running_with_nobody__says_so(
    anna: Window, experiment: Experiment
) -> None:
    start(experiment)
    page = anna.read(page_of(experiment))
    assert "nobody has been seen in it yet" in page
    assert "Stop…" in page


def test_experiment_page__unknown__404(anna: Window) -> None:
    path = "/experiments/00000000-0000-0000-0000-000000000000/"
    assert anna.client.get(path).status_code == 404


def test_start_and_stop_forms__with_reason__done_and_shown(
    anna: Window, experiment: Experiment
) -> None:
    page = anna.send(page_of(experiment) + "start", reason="enough users now")
    assert "Does it help?: started." in page
    assert "enough users now" in page
    page = anna.send(page_of(experiment) + "stop", reason="sample size reached")
    assert "Does it help?: stopped." in page
    assert "the endpoint is back to what it was before" in page


@pytest.mark.parametrize("action", ["start", "stop"])
def test_forms__no_reason__field_named_and_nothing_done(
    anna: Window, experiment: Experiment, action: str
) -> None:
    status, text = anna.refused(page_of(experiment) + action)
    assert (status, "Reason: say why" in text) == (422, True)
    experiment.refresh_from_db()
    assert experiment.state == "draft"


def test_stop_form__never_started__409_says_so(anna: Window, experiment: Experiment) -> None:
    status, text = anna.refused(page_of(experiment) + "stop", reason="r")
    assert status == 409
    assert "draft" in text


def test_forms__role_that_may_not__neither_shown_nor_taken(experiment: Experiment) -> None:
    window = Window(make_user("olga", Role.OPERATOR))
    assert "Start…" not in window.read(page_of(experiment))
    assert window.refused(page_of(experiment) + "start", reason="r")[0] == 403


def test_forms__of_another_team__403(experiment: Experiment) -> None:
    window = Window(make_user("otto", Role.ANALYST, team="fraud"))
    assert window.refused(page_of(experiment) + "start", reason="r")[0] == 403
