"""Rollouts on Postgres: moved by evidence and by people, taken back in one generation."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.access import Role
from apps.accounts.errors import PermissionDenied
from apps.deployments import services
from apps.deployments.analysis import Conditions
from apps.deployments.errors import (
    Invalid,
    NothingToReplace,
    RollbackRefused,
    TransitionRefused,
)
from apps.deployments.rollout import Step
from apps.events.models import Event
from apps.registry.models import ModelVersion
from apps.routing.errors import InvalidSettings, LeaseHeld, VersionNotApproved
from apps.routing.models import Generation
from apps.routing.selectors import read_spec
from apps.routing.services import VariantWeight, update_endpoint
from tests.deployments.ramps import STEPS, Ramp, planned, started
from tests.registry.factories import make_model, make_version, person
from tests.routing.factories import deployed, make_endpoint, operator, route, shadow, stable

pytestmark = pytest.mark.django_db(transaction=True)


def verbs(ramp: Ramp) -> list[str]:
    return [event.verb for event in Event.objects.for_object(ramp.rollout.key).order_by("id")]


def stage_of(version: ModelVersion) -> str:
    version.refresh_from_db()
    return version.stage


def test_rollout__created__leases_the_endpoint_and_moves_nobody() -> None:
    ramp = planned()
    ramp.endpoint.refresh_from_db()
    assert ramp.endpoint.lease_holder == ramp.rollout.key
    assert ramp.weights() == {"stable": 10_000}


def test_rollout__of_the_shadow__keeps_the_fallback_and_ends_the_mirror() -> None:
    old, new, spare = deployed(1), deployed(2), deployed(3)
    endpoint = make_endpoint()
    backup = VariantWeight(key="backup", role="fallback", version=spare, weight=0)
    route(endpoint, stable(old), shadow(new), backup)
    policy = {"mirrors": [{"variant": "shadow"}], "fallback": {"variant": "backup"}}
    update_endpoint(
        actor=operator(), endpoint=endpoint, settings={"policy": policy}, reason="shadow first"
    )
    endpoint.refresh_from_db()
    rollout = services.create_rollout(
        actor=operator(), endpoint=endpoint, candidate=new, steps=STEPS, reason="test"
    )
    ramp = Ramp(endpoint, old, new, rollout, timezone.now())
    ramp.tick()
    assert ramp.weights() == {"stable": 9_500, "canary": 500, "backup": 0}
    services.abort(actor=operator(), rollout=ramp.fresh(), reason="no")
    ramp.fresh()
    assert ramp.weights() == {"stable": 10_000, "shadow": 0, "backup": 0}
    restored = read_spec(ramp.endpoint.digest).policy
    assert (restored.mirrors[0].variant, restored.fallback.variant) == ("shadow", "backup")


def test_rollout__candidate_that_the_policy_cannot_follow__refused_when_created() -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(deployed(1)))
    condition = {"subject": "feature", "name": "wind", "comparison": "gt", "value": 20}
    route(make_endpoint("storm"), stable(deployed(3)))
    rule = {"name": "storm", "endpoint": "storm", "when": [condition]}
    update_endpoint(
        actor=operator(), endpoint=endpoint, settings={"policy": {"rules": [rule]}}, reason="storms"
    )
    features = [{"name": "carrier", "kind": "string"}, {"name": "distance", "kind": "float"}]
    calm = make_version(
        number=2, stage="production", input_schema={"features": features, "tensors": []}
    )
    endpoint.refresh_from_db()
    with pytest.raises(InvalidSettings, match="wind is not a feature of every variant"):
        services.create_rollout(actor=operator(), endpoint=endpoint, candidate=calm, reason="test")


def test_rollout__first_tick__gives_the_candidate_its_share() -> None:
    ramp = started()
    assert ramp.weights() == {"stable": 9_500, "canary": 500}
    assert ramp.phase().rollout_key == ramp.rollout.key
    assert ramp.phase().guardrails[0]["candidate"] == "canary"
    assert ramp.rollout.step_index == 0


def test_rollout__healthy_ramp__never_takes_a_user_off_the_candidate() -> None:
    ramp = started()
    before = ramp.users_of("canary")
    for expected in (5_000, 10_000):
        ramp.pass_step()
        assert ramp.weights()["canary"] == expected
        now = ramp.users_of("canary")
        assert before <= now
        before = now


def test_rollout__last_step_passed__candidate_is_stable_and_the_old_version_deprecated() -> None:
    ramp = started()
    for _ in STEPS:
        ramp.pass_step()
    assert ramp.rollout.state == "completed"
    assert ramp.weights() == {"stable": 10_000}
    assert ramp.phase().variants[0]["version"] == "flights/2"
    assert stage_of(ramp.stable) == "deprecated"
    assert ramp.endpoint.lease_holder == ""
    assert verbs(ramp) == [
        "rollout.created",
        "rollout.started",
        "rollout.step_passed",
        "rollout.step_passed",
        "rollout.completed",
    ]


def test_rollout__no_traffic__holds_then_asks_then_gives_up() -> None:
    ramp = started(conditions=Conditions(step_deadline_s=100, answer_deadline_s=100))
    assert ramp.tick(61).state == "progressing"
    assert ramp.tick(100).state == "waiting"
    assert ramp.weights()["canary"] == 500
    assert ramp.tick(101).state == "aborted"
    assert ramp.weights() == {"stable": 10_000}


def test_rollout__failing_units__rolled_back_to_exactly_the_phase_before() -> None:
    ramp = planned()
    before = ramp.phase()
    ramp.tick()
    generations = Generation.objects.count()
    ramp.serve("canary", 200, errors=40)
    ramp.serve("stable", 4_000)
    ramp.fail_units("canary", 30)
    ramp.tick(1)
    assert ramp.rollout.state == "rolled_back"
    assert Generation.objects.count() == generations + 1
    assert ramp.phase().ranges == before.ranges
    assert ramp.phase().salt == before.salt
    assert ramp.phase().rollout_key == ""
    assert "beyond chance" in Event.objects.for_object(ramp.rollout.key)[0].reason


def test_rollout__failing_units_that_a_fallback_answered__rolled_back_all_the_same() -> None:
    ramp = started()
    ramp.fail_units("canary", 40)
    ramp.serve("canary", 200, fallbacks=40)
    ramp.serve("stable", 4_000)
    ramp.tick()
    assert ramp.rollout.state == "rolled_back"


def test_rollout__failures_spread_as_the_traffic__goes_on() -> None:
    ramp = started()
    ramp.serve("canary", 1_000, errors=5)
    ramp.serve("stable", 19_000, errors=95)
    ramp.fail_units("canary", 1)
    ramp.fail_units("stable", 19)
    assert ramp.tick(61).step_index == 1


def test_rollout__much_less_accurate__rolled_back() -> None:
    ramp = started(steps=[Step(weight=5_000, hold_s=60, minimum_requests=10)])
    ramp.serve("canary", 200)
    ramp.serve("stable", 200)
    ramp.label("stable", right=240, wrong=60)
    ramp.label("canary", right=120, wrong=180)
    ramp.tick(1)
    assert ramp.rollout.state == "rolled_back"
    assert "accuracy 40.0 % vs 80.0 %" in Event.objects.for_object(ramp.rollout.key)[0].reason


def test_rollout__too_few_labels_for_the_step__holds() -> None:
    steps = [Step(weight=500, hold_s=1, minimum_requests=10, minimum_labels=100), STEPS[1]]
    ramp = started(steps=steps)
    ramp.label("canary", right=9, wrong=1)
    assert ramp.pass_step().step_index == 0
    assert ramp.rollout.latest[2]["verdict"] == "inconclusive"


def test_rollout__slow_candidate__rolled_back() -> None:
    ramp = started()
    ramp.serve("canary", 500, latency_ms=3_000)
    ramp.serve("stable", 500)
    assert ramp.tick(1).state == "rolled_back"


def test_rollout__paused__stays_and_goes_on_when_resumed() -> None:
    ramp = started()
    services.pause(actor=operator(), rollout=ramp.rollout, reason="lunch")
    assert ramp.pass_step().state == "paused"
    assert ramp.rollout.step_index == 0
    services.resume(actor=operator(), rollout=ramp.rollout, reason="back")
    assert ramp.pass_step().step_index == 1


def test_rollout__paused_and_failing__rolled_back_all_the_same() -> None:
    ramp = started()
    services.pause(actor=operator(), rollout=ramp.rollout, reason="lunch")
    ramp.serve("canary", 500, errors=250)
    ramp.fail_units("canary", 20)
    assert ramp.tick(1).state == "rolled_back"


def test_rollout__promoted_by_hand__takes_the_next_step_now() -> None:
    ramp = started()
    services.promote(actor=operator(), rollout=ramp.rollout, reason="sure")
    ramp.fresh()
    assert (ramp.rollout.step_index, ramp.weights()["canary"]) == (1, 5_000)


def test_rollout__promoted_to_the_end__is_completed() -> None:
    ramp = started()
    services.promote(actor=operator(), rollout=ramp.rollout, reason="sure", to_end=True)
    assert ramp.fresh().state == "completed"
    assert ramp.weights() == {"stable": 10_000}


def test_rollout__rolled_back_by_hand_at_a_later_step__is_one_generation() -> None:
    ramp = planned()
    before = ramp.phase()
    ramp.tick()
    ramp.pass_step()
    generations = Generation.objects.count()
    services.roll_back(actor=operator(), rollout=ramp.rollout, reason="customers call")
    assert ramp.fresh().state == "rolled_back"
    assert Generation.objects.count() == generations + 1
    assert (ramp.phase().ranges, ramp.phase().salt) == (before.ranges, before.salt)


def test_rollout__rolled_back_by_an_approver__may() -> None:
    ramp = started()
    approver = person("grace", Role.APPROVER)
    services.roll_back(actor=approver, rollout=ramp.rollout, reason="not what I signed")
    assert ramp.fresh().state == "rolled_back"


def test_rollout__completed_then_rolled_back__old_version_is_in_production_again() -> None:
    ramp = started()
    services.promote(actor=operator(), rollout=ramp.rollout, reason="sure", to_end=True)
    services.roll_back(actor=operator(), rollout=ramp.rollout, reason="it was not")
    assert ramp.fresh().state == "rolled_back"
    assert ramp.phase().variants[0]["version"] == "flights/1"
    assert stage_of(ramp.stable) == "production"


def test_rollout__endpoint_changed_after_completion__rollback_refused() -> None:
    ramp = started()
    services.promote(actor=operator(), rollout=ramp.rollout, reason="sure", to_end=True)
    route(ramp.endpoint, stable(ramp.stable))
    with pytest.raises(RollbackRefused):
        services.roll_back(actor=operator(), rollout=ramp.rollout, reason="late")
    assert ramp.fresh().state == "completed"


def test_rollout__aborted_before_it_began__moves_nobody() -> None:
    ramp = planned()
    generations = Generation.objects.count()
    services.abort(actor=operator(), rollout=ramp.rollout, reason="changed my mind")
    assert ramp.fresh().state == "aborted"
    assert ramp.endpoint.lease_holder == ""
    assert Generation.objects.count() == generations


def test_rollout__over__refuses_every_action() -> None:
    ramp = started()
    services.abort(actor=operator(), rollout=ramp.rollout, reason="no")
    for action in (services.pause, services.resume, services.promote, services.roll_back):
        with pytest.raises(TransitionRefused):
            action(actor=operator(), rollout=ramp.rollout, reason="again")


def test_rollout__candidate_not_loaded__waits_then_gives_up() -> None:
    make_version(number=2, stage="production")
    old = deployed(1)
    endpoint = make_endpoint()
    route(endpoint, stable(old))
    rollout = services.create_rollout(
        actor=operator(),
        endpoint=endpoint,
        candidate=ModelVersion.objects.get(number=2),
        reason="eager",
    )
    soon, late = (rollout.state_entered_at + timedelta(seconds=s) for s in (5, 4_000))
    assert services.tick_rollout(rollout_id=rollout.pk, now=soon).state == "pending"
    assert services.tick_rollout(rollout_id=rollout.pk, now=late).state == "aborted"


def test_rollout__of_an_unapproved_version__refused_before_anything() -> None:
    old, new = deployed(1), deployed(2, stage="staging")
    endpoint = make_endpoint()
    route(endpoint, stable(old))
    with pytest.raises(VersionNotApproved):
        services.create_rollout(actor=operator(), endpoint=endpoint, candidate=new, reason="please")
    endpoint.refresh_from_db()
    assert endpoint.lease_holder == ""


def test_rollout__second_on_one_endpoint__refused() -> None:
    ramp = started()
    with pytest.raises(LeaseHeld):
        services.create_rollout(
            actor=operator(), endpoint=ramp.endpoint, candidate=deployed(3), reason="me too"
        )


def test_rollout__endpoint_that_serves_nothing__refused() -> None:
    with pytest.raises(NothingToReplace):
        services.create_rollout(
            actor=operator(), endpoint=make_endpoint(), candidate=deployed(1), reason="first"
        )


def test_rollout__version_of_another_model__refused() -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(deployed(1)))
    with pytest.raises(Invalid, match="not a version of"):
        services.create_rollout(
            actor=operator(),
            endpoint=endpoint,
            candidate=deployed(1, model=make_model("fraud")),
            reason="wrong",
        )


@pytest.mark.parametrize("weights", [[], [0], [10_001], [500, 500], [5_000, 500]])
def test_rollout__steps_that_do_not_rise__refused(weights: list[int]) -> None:
    steps = [Step(weight=weight, hold_s=1) for weight in weights]
    with pytest.raises(Invalid):
        planned(steps=steps)


def test_rollout__by_an_analyst__refused() -> None:
    ramp = started()
    with pytest.raises(PermissionDenied):
        services.pause(actor=person("ana", Role.ANALYST), rollout=ramp.rollout, reason="no")


def test_rollout__without_a_reason__refused() -> None:
    ramp = started()
    with pytest.raises(Invalid, match="say why"):
        services.roll_back(actor=operator(), rollout=ramp.rollout, reason="  ")


def test_verdicts__the_same_again__logged_once() -> None:
    ramp = started()
    for _ in range(3):
        ramp.tick(1)
    assert ramp.rollout.verdicts.filter(metric="errors").count() == 1
    ramp.serve("canary", 100)
    ramp.tick(1)
    newest = ramp.rollout.verdicts.filter(metric="errors").first()
    assert newest is not None
    assert newest.sentence == "error rate 0.0 %: within the limit, 100 requests"
