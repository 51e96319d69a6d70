"""Pages of endpoints, as people of different roles see them."""

import pytest

from apps.accounts.access import Role
from apps.routing.models import Endpoint
from tests.pages import Window
from tests.registry.factories import make_user
from tests.routing.factories import canary, deployed, make_endpoint, route, stable

pytestmark = pytest.mark.django_db
RESTORE = "/endpoints/flights/restore"


@pytest.fixture
def olga() -> Window:
    return Window(make_user("olga", Role.OPERATOR))


@pytest.fixture
def endpoint() -> Endpoint:
    """Version 1 for everybody, then version 2 for one in twenty: phases 1 and 2."""
    made = make_endpoint()
    old, new = deployed(1), deployed(2)
    route(made, stable(old))
    route(made, stable(old, 9_500), canary(new, 500), reason="try it")
    made.refresh_from_db()
    return made


def test_endpoint_list__none__says_how_to_make_one(olga: Window) -> None:
    assert "No endpoints" in olga.read("/endpoints/")


def test_endpoint_list__with_and_without_traffic__each_said(
    olga: Window, endpoint: Endpoint
) -> None:
    make_endpoint("a-name-that-goes-on-for-as-long-as-names-of-endpoints-are-allowed-to-go-on")
    page = olga.read("/endpoints/")
    assert "v1 95 %, v2 5 %" in page
    assert "nothing yet" in page


def test_endpoint_page__no_traffic_yet__says_how_to_give_it_some(olga: Window) -> None:
    make_endpoint()
    page = olga.read("/endpoints/flights/")
    assert "No traffic yet" in page
    assert "Restore" not in page


def test_endpoint_page__many_phases_with_long_reasons__newest_ones_shortened(
    olga: Window, endpoint: Endpoint
) -> None:
    version = endpoint.model.versions.get(number=1)
    for _ in range(30):
        route(endpoint, stable(version), reason="because " * 200)
    page = olga.html("/endpoints/flights/")
    assert page.count("data-open=") == 11  # twelve phases are shown, the current one is no target
    assert "because " * 30 not in page


def test_endpoint_page__unknown__404(olga: Window) -> None:
    assert olga.client.get("/endpoints/nothing/").status_code == 404


def test_restore_form__with_reason__goes_back_exactly(olga: Window, endpoint: Endpoint) -> None:
    page = olga.send(RESTORE, phase=1, expected_revision=endpoint.revision, reason="it was worse")
    assert "flights is back at phase 1." in page
    assert "as in phase 1" in page
    phase = endpoint.phase
    assert phase is not None
    assert phase.weights() == {"stable": 10_000}


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"reason": ""}, 422, "Reason: say why"),
        ({"phase": "one"}, 422, "Phase: 'one' is not a number"),
        ({"phase": "9" * 30}, 422, "is not a number"),
        ({"phase": ""}, 422, "Phase: '' is not a number"),
        ({"phase": 77}, 404, "77"),
        ({"expected_revision": ""}, 422, "Expected revision: '' is not a number"),
        ({"expected_revision": 1}, 409, "revision"),
    ],
)
def test_restore_form__wrong_input__field_named_and_nobody_moves(
    olga: Window, endpoint: Endpoint, fields: dict[str, object], status: int, words: str
) -> None:
    given = {"phase": 1, "expected_revision": endpoint.revision, "reason": "r", **fields}
    answered, text = olga.refused(RESTORE, **given)
    assert (answered, words in text) == (status, True), text
    before = endpoint.revision
    endpoint.refresh_from_db()
    assert endpoint.revision == before


def test_restore_form__role_that_may_not__neither_shown_nor_taken(endpoint: Endpoint) -> None:
    window = Window(make_user("anna", Role.ANALYST))
    assert "Restore" not in window.read("/endpoints/flights/")
    fields = {"phase": 1, "expected_revision": endpoint.revision, "reason": "r"}
    assert window.refused(RESTORE, **fields)[0] == 403


def test_restore_form__of_another_team__403(endpoint: Endpoint) -> None:
    window = Window(make_user("otto", Role.OPERATOR, team="fraud"))
    fields = {"phase": 1, "expected_revision": endpoint.revision, "reason": "r"}
    assert window.refused(RESTORE, **fields)[0] == 403
