"""The page an approver signs, and the rules behind it, as people use them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from apps.accounts.access import Role
from apps.registry.models import CheckRun, Comment, FreezeWindow, PromotionPolicy, PromotionRequest
from tests.pages import Window
from tests.registry.factories import asked, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace() -> Window:
    return Window(make_user("grace", Role.APPROVER))


@pytest.fixture
def ida() -> Window:
    return Window(make_user("ida", Role.ADMIN))


@pytest.fixture
def request_of_ada() -> PromotionRequest:
    return asked()


def test_discussion__comment_and_edit__shown_with_what_was_said_before(
    grace: Window, ida: Window, request_of_ada: PromotionRequest
) -> None:
    path = f"/approvals/{request_of_ada.pk}/comments"
    assert "thin slices" in grace.send(path, body="**thin** slices <script>")
    comment = Comment.objects.get()
    page = grace.send(f"{path}/{comment.pk}", body="thick slices")
    assert "thick slices" in page
    assert "Until" in page
    assert "**thin** slices" in page
    assert ida.refused(f"{path}/{comment.pk}", body="mine now")[0] == 403
    assert grace.refused(path, body=" ")[0] == 422


def test_page_left_open__something_happens__it_says_so(
    grace: Window, ida: Window, request_of_ada: PromotionRequest
) -> None:
    html = grace.html(f"/approvals/{request_of_ada.pk}/")
    address = html.partition('id="pulse"')[2].partition('hx-get="')[2].partition('"')[0]
    assert grace.client.get(address).content == b""
    ida.send(f"/approvals/{request_of_ada.pk}/comments", body="wait")
    assert "This has changed since you opened the page" in grace.read(address)


def test_approve__what_was_seen_is_not_what_is_there__refused(
    grace: Window, request_of_ada: PromotionRequest
) -> None:
    path = f"/approvals/{request_of_ada.pk}/approve"
    status, text = grace.refused(path, reason="fine", seen="0" * 64)
    assert (status, "has changed since you looked" in text) == (409, True)
    seen = request_of_ada.signed_digest()
    assert "flights v1: approved." in grace.send(path, reason="fine", seen=seen)


def test_evidence__check_with_figures__is_a_picture_and_counts(
    grace: Window, request_of_ada: PromotionRequest
) -> None:
    CheckRun.objects.create(
        request=request_of_ada,
        name="latency_budget",
        title="Latency budget",
        required=True,
        state="done",
        verdict="fail",
        detail="p95 of one row is 130 ms of 100",
        figures={"p95_ms": 130.0, "most_ms": 100.0},
        due_at=datetime.now(UTC),
    )
    page = grace.html(f"/approvals/{request_of_ada.pk}/")
    assert "130 of 100" in page
    assert 'class="limit"' in page
    assert 'data-open="approve"' not in page
    assert 'data-open="reject"' in page


def test_freeze__added_by_an_administrator__holds_until_the_glass_is_broken(
    grace: Window, ida: Window, request_of_ada: PromotionRequest
) -> None:
    now = datetime.now(UTC)
    since, until = ((now + timedelta(hours=hours)).isoformat()[:16] for hours in (-2, 2))
    fields = {"title": "Quiet", "kind": "span", "since": since, "until": until, "zone": "UTC"}
    page = ida.send("/freezes/add", **fields, reason="nobody is there")
    assert "Quiet" in page
    assert "holds" in page
    path = f"/approvals/{request_of_ada.pk}/"
    assert "Frozen until" in grace.read(path)
    assert 'data-open="approve"' not in grace.html(path)
    assert "the glass is broken" in ida.send(f"{path}break-glass", reason="customers wait")
    page = grace.html(path)
    assert "Glass broken" in page
    assert 'data-open="approve"' in page
    assert "flights v1: approved." in grace.send(f"{path}approve", reason="it cannot wait")
    freeze = FreezeWindow.objects.get()
    assert "1 cancelled" in ida.send(f"/freezes/{freeze.pk}/cancel", reason="back already")
    assert ida.refused("/freezes/add", **{**fields, "since": "x"}, reason="r")[0] == 422
    assert grace.refused("/freezes/add", **fields, reason="r")[0] == 403


def test_rules__written_and_taken_away__each_an_edition(grace: Window, ida: Window) -> None:
    given = {"stage": "production", "tier": "critical", "reason": "the auditor asked"}
    page = ida.send("/policies/set", rules=json.dumps({"approvals": 3}), **given)
    assert "Edition 1 is in force." in page
    assert "edition 1 ida" in page
    form = ida.read("/policies/set?stage=production&tier=critical")
    assert '"approvals": 3' in form
    ida.send("/policies/set", remove="1", rules="", **given)
    assert list(PromotionPolicy.objects.order_by("number").values_list("rules", flat=True)) == [
        {"approvals": 3},
        None,
    ]
    for rules in ("{", "[]", '{"approvals": 0}', '{"moon": 1}'):
        status, text = ida.refused("/policies/set", rules=rules, **given)
        assert (status, "Rules" in text) == (422, True), rules
    assert grace.refused("/policies/set", rules="{}", **given)[0] == 403
    assert "built in, where nobody wrote any" in grace.read("/policies/")
