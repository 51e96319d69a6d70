"""Pages of models, versions and approvals, as people of different roles see them."""

import pytest

from apps.accounts.access import Role
from apps.registry.models import ModelVersion, PromotionRequest, Validation
from tests.pages import Window
from tests.registry.factories import (
    asked,
    make_model,
    make_user,
    make_validation,
    make_version,
    validated_version,
)

pytestmark = pytest.mark.django_db
LONG = "a-model-whose-name-somebody-chose-to-be-as-long-as-names-may-be"


@pytest.fixture
def ada() -> Window:
    return Window(make_user("ada", Role.SCIENTIST))


@pytest.fixture
def grace() -> Window:
    return Window(make_user("grace", Role.APPROVER))


@pytest.fixture
def request_of_ada() -> PromotionRequest:
    return asked()


def decide(request: PromotionRequest, decision: str) -> str:
    return f"/approvals/{request.pk}/{decision}"


def test_model_list__no_models__says_how_to_get_one(ada: Window) -> None:
    assert "No models yet" in ada.read("/models/")


def test_model_list__filter_that_fits_none__says_so(ada: Window) -> None:
    make_model()
    assert "No model fits these filters" in ada.read("/models/?name=fraud")


def test_model_list__more_than_a_page__leads_to_older_ones(ada: Window) -> None:
    for number in range(51):
        make_model(f"{LONG[:50]}-{number}")
    page = ada.html("/models/?team=ops")
    assert page.count("<tr>") == 51
    assert 'rel="next" href="?team=ops&amp;before=' in page


def test_model_list__position_that_is_none__refused(ada: Window) -> None:
    answer = ada.client.get("/models/?before=x")
    assert answer.status_code == 422
    assert "is not a position in this list" in answer.content.decode()


def test_model_page__no_versions__says_how_to_import(ada: Window) -> None:
    make_model()
    page = ada.read("/models/flights/")
    assert "No versions yet" in page
    assert "nothing in production" in page


def test_model_page__thirty_versions__all_with_metrics_and_checks(ada: Window) -> None:
    model = make_model(LONG)
    for number in range(1, 34):
        stage = "production" if number == 20 else "dev"
        version = make_version(model=model, number=number, stage=stage, metrics={"auc": number})
    make_validation(version, state="failed")
    page = ada.read(f"/models/{LONG}/")
    assert "In production: v20" in page
    assert "33 registered" in page
    assert all(f"v{number} " in page for number in range(1, 34))
    assert "failed" in page


def test_model_page__unknown__404(ada: Window) -> None:
    assert ada.client.get("/models/nothing/").status_code == 404


def test_version_page__fresh__says_what_promotion_needs(ada: Window) -> None:
    make_version()
    page = ada.read("/models/flights/versions/1/")
    assert "Not checked yet" in page
    assert "Staging needs Missing: Checks of exactly this content pass" in page
    assert "Missing: One other person signs" in page
    assert "Run checks" in page
    assert "Request staging…" not in page


def test_version_page__hostile_text__is_shown_as_text(ada: Window) -> None:
    make_version(parameters={"note": "<script>alert(1)</script>"}, data_lineage={"set": "<b>x"})
    assert "&lt;script&gt;alert" in ada.html("/models/flights/versions/1/metrics/")
    assert "&lt;b&gt;x" in ada.html("/models/flights/versions/1/lineage/")


def test_version_page__checked__scientist_may_ask_and_approver_may_not(
    ada: Window, grace: Window
) -> None:
    validated_version()
    assert "Request staging…" in ada.read("/models/flights/versions/1/")
    assert "Request staging…" not in grace.read("/models/flights/versions/1/")


def test_version_page__beside_an_incumbent__shows_the_difference(ada: Window) -> None:
    make_version(stage="production", metrics={"accuracy": 0.8})
    validated_version("staging", metrics={"accuracy": 0.9})
    assert "Against v1, in production" in ada.read("/models/flights/versions/2/")


def test_validate_form__scientist__checks_run(ada: Window) -> None:
    make_version()
    page = ada.send("/models/flights/versions/1/validate")
    assert "Checks of flights v1 are running." in page
    assert Validation.objects.get().requested_by == "user:ada"


def test_validate_form__role_that_may_not__403_and_nothing_started(grace: Window) -> None:
    make_version()
    status, text = grace.refused("/models/flights/versions/1/validate")
    assert status == 403
    assert "may not validate" in text
    assert not Validation.objects.exists()


def test_promotion_form__with_reason__waits_for_an_approver(ada: Window) -> None:
    validated_version()
    page = ada.send(
        "/models/flights/versions/1/promotion-requests", stage="staging", reason="better on March"
    )
    assert "flights v1 waits for an approver." in page
    assert "better on March" in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stage": "staging"}, "Reason: say why"),
        ({"stage": "staging", "reason": "  "}, "Reason: say why"),
        ({"stage": "staging", "reason": "x" * 2_001}, "Reason: takes at most 2,000"),
        ({"stage": "moon", "reason": "r"}, "Stage: must be one of staging, production"),
        ({"stage": "production", "reason": "r"}, "Stage: flights/1 is in dev"),
    ],
)
def test_promotion_form__wrong_input__field_named_with_a_way_back(
    ada: Window, fields: dict[str, str], words: str
) -> None:
    validated_version()
    status, text = ada.refused("/models/flights/versions/1/promotion-requests", **fields)
    assert status in (409, 422)
    assert words in text
    assert "Back to the form" in text
    assert not PromotionRequest.objects.exists()


def test_promotion_form__role_that_may_not__403(grace: Window) -> None:
    validated_version()
    fields = {"stage": "staging", "reason": "r"}
    assert grace.refused("/models/flights/versions/1/promotion-requests", **fields)[0] == 403


def test_approval_list__empty_and_full__by_state(
    grace: Window, request_of_ada: PromotionRequest
) -> None:
    assert "flights v1 → staging" in grace.read("/approvals/")
    assert "flights v1 → staging" in grace.read("/approvals/?box=mine&team=ops&tier=standard")
    assert "No request fits these filters" in grace.read("/approvals/?model=fraud")
    assert "Nothing was decided yet" in grace.read("/approvals/?box=decided")
    assert "You have asked for nothing" in grace.read("/approvals/?box=asked")
    grace.send(decide(request_of_ada, "reject"), reason="too early")
    assert "Nothing waits" in grace.read("/approvals/")
    assert "flights v1 → staging" in grace.read("/approvals/?box=decided&state=rejected")


def test_approval_page__approver__reads_evidence_and_may_sign(
    grace: Window, request_of_ada: PromotionRequest
) -> None:
    page = grace.read(f"/approvals/{request_of_ada.pk}/")
    assert "1 of 1 checks pass" in page
    assert "Approve…" in page
    assert f"You sign digest {request_of_ada.signed_digest()[:12]}" in page


def test_approval_page__requester__told_why_not_and_may_withdraw(
    ada: Window, request_of_ada: PromotionRequest
) -> None:
    page = ada.read(f"/approvals/{request_of_ada.pk}/")
    assert "You cannot decide this" in page
    assert "Withdraw…" in page
    assert "Approve…" not in page


def test_approval_page__version_changed_since__says_it_cannot_be_signed(
    grace: Window, request_of_ada: PromotionRequest
) -> None:
    ModelVersion.objects.update(decision_threshold=0.9)
    assert "The version has changed" in grace.read(f"/approvals/{request_of_ada.pk}/")
    status, text = grace.refused(decide(request_of_ada, "approve"), reason="fine")
    assert status == 409
    assert "changed" in text


@pytest.mark.parametrize(
    ("who", "decision", "state"),
    [
        ("grace", "approve", "approved"),
        ("grace", "reject", "rejected"),
        ("ada", "withdraw", "withdrawn"),
    ],
)
def test_decision_form__with_reason__decided_and_shown(
    request: pytest.FixtureRequest,
    request_of_ada: PromotionRequest,
    who: str,
    decision: str,
    state: str,
) -> None:
    window: Window = request.getfixturevalue(who)
    page = window.send(decide(request_of_ada, decision), reason="as we agreed")
    assert f"flights v1: {state}." in page
    assert "as we agreed" in page
    request_of_ada.refresh_from_db()
    assert request_of_ada.state == state


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_decision_form__no_reason__field_named_and_nothing_decided(
    grace: Window, request_of_ada: PromotionRequest, decision: str
) -> None:
    status, text = grace.refused(decide(request_of_ada, decision), reason="")
    assert (status, "Reason: say why" in text) == (422, True)
    request_of_ada.refresh_from_db()
    assert request_of_ada.state == "requested"


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_decision_form__by_the_requester__403(
    ada: Window, request_of_ada: PromotionRequest, decision: str
) -> None:
    assert ada.refused(decide(request_of_ada, decision), reason="mine")[0] == 403


def test_decision_form__decided_meanwhile__409_says_so(
    grace: Window, request_of_ada: PromotionRequest
) -> None:
    grace.send(decide(request_of_ada, "reject"), reason="too early")
    status, text = grace.refused(decide(request_of_ada, "approve"), reason="after all")
    assert status == 409
    assert "rejected" in text
