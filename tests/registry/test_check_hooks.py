"""Checks by webhook: signed, tried again, answered at once or later, given up."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.access import Role
from apps.events.models import Event
from apps.notices.outbound import Refused
from apps.notices.signing import headers
from apps.registry import services
from apps.registry.checks.hooks import BadAnswer, read_answer
from apps.registry.errors import AlreadyExists, EvidenceIncomplete, Invalid
from apps.registry.models import CheckHook, CheckRun, PromotionRequest
from tests.conftest import Configure
from tests.notices.receiver import Receiver, receiving
from tests.registry.factories import approver, asked, make_team, person, scientist

pytestmark = pytest.mark.django_db
GOOD = {"verdict": "pass", "detail": "no secrets in it", "figures": {"files": 12}}


@pytest.fixture
def receiver(configure: Configure) -> Any:
    """A service on loopback that may be called."""
    with receiving() as running:
        configure(outbound_allow=f"127.0.0.1:{running.port}")
        yield running


def answers(receiver: Receiver, *given: tuple[int, object]) -> None:
    receiver.answers = [(status, {}, json.dumps(body).encode()) for status, body in given]


def hooked(receiver: Receiver, **fields: Any) -> tuple[PromotionRequest, str]:
    """A request whose policy needs the service, and the secret of its signature."""
    admin = person("root", Role.ADMIN)
    _, secret = services.add_check_hook(
        actor=admin,
        team=make_team(),
        name="scanner",
        title="Secret scanner",
        url=receiver.url(),
        **fields,
    )
    services.set_policy(
        actor=admin,
        team=make_team(),
        stage="staging",
        rules={"checks": {"hook:scanner": {"settings": {"depth": 3}}}},
        reason="decided",
    )
    return asked(), secret


def scanned(request: PromotionRequest) -> CheckRun:
    services.run_checks(request_id=request.pk)
    request.refresh_from_db()
    return CheckRun.objects.get(name="hook:scanner")


def test_hook__that_answers__is_signed_and_completes_the_evidence(receiver: Receiver) -> None:
    answers(receiver, (200, GOOD))
    request, secret = hooked(receiver)
    assert request.frozen_at is None
    with pytest.raises(EvidenceIncomplete, match="Secret scanner is still running"):
        services.approve(actor=approver(), request=request)
    run = scanned(request)
    assert (run.state, run.verdict, run.figures) == ("done", "pass", {"files": 12})
    (sent,) = receiver.received
    expected = headers(
        message_id=sent.headers["webhook-id"],
        timestamp=int(sent.headers["webhook-timestamp"]),
        body=sent.body,
        secrets=[secret],
    )
    assert sent.headers["webhook-signature"] == expected["webhook-signature"]
    told = json.loads(sent.body)
    assert (told["model"], told["stage"], told["settings"]) == ("flights", "staging", {"depth": 3})
    services.approve(actor=approver(), request=request)
    assert request.state == "approved"
    assert Event.objects.get(verb="promotion.check_finished").after["complete"]  # type: ignore[index]  # JSON


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        ((200, {**GOOD, "verdict": "fail"}), "fail", "no secrets"),
        ((200, {**GOOD, "verdict": "inconclusive"}), "inconclusive", "no secrets"),
        ((200, {"verdict": "great"}), "error", "$.verdict"),
        ((200, {**GOOD, "more": 1}), "error", "unknown field"),
        ((404, {}), "error", "answers 404"),
    ],
)
def test_hook__each_answer__its_verdict(
    receiver: Receiver, answer: tuple[int, object], verdict: str, words: str
) -> None:
    answers(receiver, answer)
    run = scanned(hooked(receiver)[0])
    assert run.verdict == verdict
    assert words in run.detail


def test_hook__that_is_away__is_tried_again_and_given_up(receiver: Receiver) -> None:
    answers(receiver, (503, {}))
    request, _ = hooked(receiver, attempts=2)
    run = scanned(request)
    assert (run.state, run.attempts) == ("queued", 1)
    assert services.run_checks(request_id=request.pk) == 0  # not yet
    CheckRun.objects.update(due_at=timezone.now())
    run = scanned(request)
    assert (run.verdict, run.attempts, len(receiver.received)) == ("error", 2, 2)
    answers(receiver, (200, GOOD))
    services.rerun_checks(actor=scientist(), request=request, names=["hook:scanner"])
    assert request.frozen_at is None
    assert scanned(request).verdict == "pass"


def token_of(receiver: Receiver) -> str:
    return str(json.loads(receiver.received[-1].body)["callback"]).rpartition("/")[2]


def test_hook__that_says_202__is_answered_once_with_its_token(
    receiver: Receiver, client: Client
) -> None:
    answers(receiver, (202, {}))
    request, _ = hooked(receiver)
    assert scanned(request).state == "waiting"

    def call(token: str, body: object) -> int:
        path = f"/callbacks/checks/{token}"
        return int(client.post(path, json.dumps(body), content_type="application/json").status_code)

    token = token_of(receiver)
    assert call("nonsense", GOOD) == 404
    assert call(token, {"verdict": "great"}) == 422
    assert call(token, GOOD) == 200
    assert call(token, {**GOOD, "verdict": "fail"}) == 404
    assert CheckRun.objects.get(name="hook:scanner").verdict == "pass"
    request.refresh_from_db()
    assert request.frozen_at is not None


def test_hook__that_never_calls_back__cannot_tell(receiver: Receiver) -> None:
    answers(receiver, (202, {}))
    request, _ = hooked(receiver, callback_h=1)
    scanned(request)
    late = timezone.now() + timedelta(hours=2)
    assert services.resume_checks(now=timezone.now()) == 0
    assert services.resume_checks(now=late) == 1
    run = CheckRun.objects.get(name="hook:scanner")
    assert (run.verdict, run.state) == ("inconclusive", "done")


def test_hook__disabled__cannot_be_met(receiver: Receiver) -> None:
    request, _ = hooked(receiver)
    hook = CheckHook.objects.get()
    services.disable_check_hook(actor=person("root", Role.ADMIN), hook=hook, reason="gone")
    assert scanned(request).verdict == "error"
    assert receiver.received == []


def test_hook__with_an_address_that_may_not_be_called__refused(receiver: Receiver) -> None:
    given: dict[str, Any] = {"actor": person("root", Role.ADMIN), "team": make_team(), "title": "X"}
    with pytest.raises(Refused):
        services.add_check_hook(**given, name="x", url="http://169.254.169.254/latest")
    with pytest.raises(Invalid):
        services.add_check_hook(**given, name="No Name", url=receiver.url())
    services.add_check_hook(**given, name="x", url=receiver.url())
    with pytest.raises(AlreadyExists):
        services.add_check_hook(**given, name="x", url=receiver.url())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"verdict": "pass", "detail": ""}'])
def test_answer__that_is_none__is_no_verdict(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_answer(body)
