"""A gateway that withdrew a candidate by itself is heard, and followed everywhere."""

from typing import Any

import pytest

from apps.deployments import subscribers
from apps.events.models import Event
from apps.routing.models import Generation, Override
from apps.routing.services.fleet import report_unapproved_traffic, take_override
from contracts import routing as contract
from tests.deployments.ramps import Ramp, started

pytestmark = pytest.mark.django_db(transaction=True)


def withdraw(ramp: Ramp, gateway: str = "gateway-1", **values: Any) -> Event:
    """What a gateway reports, as the relay hands it on."""
    fields: dict[str, Any] = {
        "gateway": gateway,
        "endpoint": ramp.endpoint.name,
        "rollout": ramp.rollout.key,
        "variant": "canary",
        "fallback_to": "stable",
        "wealth": 412.7,
        "units": 14,
        "generation": 2,
        "at": ramp.now.timestamp(),
        "reason": "errors",
    }
    take_override(contract.Override(**fields | values))
    return Event.objects.filter(verb="gateway.override_reported").order_by("-id")[0]


def test_override__of_a_running_rollout__rolled_back_with_its_evidence() -> None:
    ramp = started()
    subscribers.withdraw_everywhere(withdraw(ramp))
    assert ramp.fresh().state == "rolled_back"
    assert "gateway-1 withdrew the candidate" in ramp.rollout.state_reason
    assert "e-value 413 on 14 failing users" in ramp.rollout.state_reason
    assert ramp.weights() == {"stable": 10_000}


def test_override__rolled_back_since__may_be_forgotten_by_the_gateway() -> None:
    ramp = started()
    subscribers.withdraw_everywhere(withdraw(ramp))
    assert Override.objects.get().acknowledged_at is not None


def test_override__delivered_twice__is_one_generation() -> None:
    ramp = started()
    event = withdraw(ramp)
    before = Generation.objects.count()
    subscribers.withdraw_everywhere(event)
    after_one = Generation.objects.count()
    subscribers.withdraw_everywhere(event)
    assert Generation.objects.count() == after_one > before


def test_approval__lost_while_the_candidate_has_traffic__rolled_back() -> None:
    ramp = started()
    type(ramp.candidate).objects.filter(pk=ramp.candidate.pk).update(decision_threshold=0.9)
    ramp.candidate.refresh_from_db()
    assert report_unapproved_traffic(version=ramp.candidate) == 1
    subscribers.withdraw_unapproved(
        Event.objects.filter(verb="endpoint.unapproved_traffic").order_by("-id")[0]
    )
    assert ramp.fresh().state == "rolled_back"
    assert ramp.rollout.state_reason == "flights/2 is not approved any more"


def test_override__of_an_unknown_rollout__ignored() -> None:
    ramp = started()
    unknown = "rollout:0192f3a4-0000-7000-8000-000000000000"
    subscribers.withdraw_everywhere(withdraw(ramp, rollout=unknown))
    assert ramp.fresh().state == "progressing"
