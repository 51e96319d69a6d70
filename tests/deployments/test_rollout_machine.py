"""The rollout's state machine and the decision of each tick."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.deployments.analysis import Conditions, Evidence, Figures, Outcome
from apps.deployments.rollout import (
    FINISHED,
    LIVE,
    TRANSITIONS,
    Snapshot,
    State,
    Step,
    Trigger,
    after,
    deadline,
    decide,
    default_conditions,
    default_steps,
    next_index,
    promotion,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = (Step(weight=500, hold_s=60), Step(weight=5_000, hold_s=60), Step(weight=10_000, hold_s=60))
HEALTHY = Figures(requests=1_000, errors=1, answered=999, p99_ms=20.0)
GOOD = Evidence(
    step_candidate=HEALTHY,
    step_baseline=HEALTHY,
    total_candidate=HEALTHY,
    total_baseline=HEALTHY,
)
BAD = Evidence(
    step_candidate=Figures(requests=500, errors=100, answered=400, p99_ms=20.0),
    step_baseline=HEALTHY,
    total_candidate=Figures(requests=500, errors=100),
    total_baseline=HEALTHY,
    peak_wealth=1e6,
    failing_units=40,
)
SILENT = Evidence()

EXPECTED = {
    State.PENDING: {
        Trigger.START: "progressing",
        Trigger.ABORT: "aborted",
        Trigger.EXPIRE: "aborted",
    },
    State.PROGRESSING: {
        Trigger.ADVANCE: "progressing",
        Trigger.COMPLETE: "completed",
        Trigger.EXPIRE: "waiting",
        Trigger.FAIL: "rolled_back",
        Trigger.PAUSE: "paused",
        Trigger.PROMOTE: "progressing",
        Trigger.ABORT: "aborted",
        Trigger.ROLL_BACK: "rolled_back",
    },
    State.PAUSED: {
        Trigger.COMPLETE: "completed",
        Trigger.EXPIRE: "waiting",
        Trigger.FAIL: "rolled_back",
        Trigger.RESUME: "progressing",
        Trigger.PROMOTE: "progressing",
        Trigger.ABORT: "aborted",
        Trigger.ROLL_BACK: "rolled_back",
    },
    State.WAITING: {
        Trigger.COMPLETE: "completed",
        Trigger.EXPIRE: "aborted",
        Trigger.FAIL: "rolled_back",
        Trigger.PAUSE: "paused",
        Trigger.RESUME: "progressing",
        Trigger.PROMOTE: "progressing",
        Trigger.ABORT: "aborted",
        Trigger.ROLL_BACK: "rolled_back",
    },
    State.COMPLETED: {Trigger.FAIL: "rolled_back", Trigger.ROLL_BACK: "rolled_back"},
    State.ROLLED_BACK: {},
    State.ABORTED: {},
}


def snapshot(
    state: State = State.PROGRESSING, *, index: int = 0, entered: datetime = T0
) -> Snapshot:
    return Snapshot(
        state=state,
        steps=STEPS,
        conditions=Conditions(),
        step_index=index,
        step_started_at=T0,
        state_entered_at=entered,
    )


def later(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@pytest.mark.parametrize(("state", "trigger"), list(product(State, Trigger)))
def test_machine__every_state_and_trigger__leads_where_it_should(
    state: State, trigger: Trigger
) -> None:
    expected = EXPECTED[state].get(trigger)
    assert after(state, trigger) == expected


def test_machine__over_for_good__has_no_exit() -> None:
    for state in (State.ROLLED_BACK, State.ABORTED):
        assert not [key for key in TRANSITIONS if key[0] is state]


def test_machine__every_live_state__can_be_rolled_back_and_aborted() -> None:
    for state in LIVE:
        assert after(state, Trigger.ROLL_BACK) is State.ROLLED_BACK
        assert after(state, Trigger.ABORT) is State.ABORTED


def test_decide__passing_before_the_hold_is_over__holds() -> None:
    assert decide(snapshot(), GOOD, later(59)).trigger is None


def test_decide__passing_after_the_hold__advances() -> None:
    decision = decide(snapshot(), GOOD, later(60))
    assert decision.trigger is Trigger.ADVANCE
    assert "within the limit, 1,000 requests" in decision.reason


def test_decide__passing_on_the_last_step__completes() -> None:
    assert decide(snapshot(index=2), GOOD, later(60)).trigger is Trigger.COMPLETE


@pytest.mark.parametrize("state", sorted(LIVE))
def test_decide__failing_metric__rolls_back_from_every_live_state(state: State) -> None:
    decision = decide(snapshot(state), BAD, later(1))
    assert decision.trigger is Trigger.FAIL
    assert "error rate 20.0 % vs 0.1 %" in decision.reason


def test_decide__no_traffic__holds_until_the_deadline_then_asks() -> None:
    waiting_until = deadline(snapshot())
    assert decide(snapshot(), SILENT, waiting_until - timedelta(seconds=1)).trigger is None
    decision = decide(snapshot(), SILENT, waiting_until)
    assert decision.trigger is Trigger.EXPIRE
    assert "no data yet" in decision.reason
    assert decision.verdicts[0].outcome is Outcome.INCONCLUSIVE


def test_decide__resumed_after_the_deadline__waits_a_whole_deadline_again() -> None:
    resumed = snapshot(entered=later(200_000))
    assert decide(resumed, SILENT, later(200_001)).trigger is None


@pytest.mark.parametrize("state", [State.PAUSED, State.WAITING])
def test_decide__waiting_for_a_human__expires_at_its_deadline(state: State) -> None:
    here = snapshot(state)
    assert decide(here, GOOD, later(61)).trigger is None
    assert decide(here, GOOD, deadline(here)).trigger is Trigger.EXPIRE


def test_decide__pending__starts_when_the_candidate_is_ready() -> None:
    pending = snapshot(State.PENDING, index=-1)
    assert decide(pending, GOOD, T0).trigger is Trigger.START
    unready = Evidence(candidate_ready=False)
    assert decide(pending, unready, T0).trigger is None
    assert decide(pending, unready, deadline(pending)).trigger is Trigger.EXPIRE


@pytest.mark.parametrize("state", sorted(FINISHED))
def test_decide__finished__does_nothing(state: State) -> None:
    assert decide(snapshot(state), BAD, later(1e6)).trigger is None


def test_decide__metric_unavailable__holds() -> None:
    broken = Evidence(
        step_candidate=HEALTHY, step_baseline=HEALTHY, unavailable={"errors": "no ingest"}
    )
    decision = decide(snapshot(), broken, later(61))
    assert decision.trigger is None
    assert decision.verdicts[0].outcome is Outcome.ERROR


@given(
    state=st.sampled_from(sorted(State)),
    index=st.integers(0, 2),
    requests=st.integers(0, 100_000),
    share=st.floats(0, 1),
    wealth=st.floats(0, 1e12),
    seconds=st.floats(0, 1e7),
)
def test_decide__any_evidence__asks_only_for_what_the_machine_allows(
    state: State, index: int, requests: int, share: float, wealth: float, seconds: float
) -> None:
    figures = Figures(requests=requests, errors=int(share * requests), answered=requests)
    evidence = Evidence(step_candidate=figures, total_candidate=figures, peak_wealth=wealth)
    decision = decide(snapshot(state, index=index), evidence, later(seconds))
    assert decision.trigger is None or after(state, decision.trigger) is not None


@given(requests=st.integers(0, 99), errors=st.integers(0, 99), seconds=st.floats(0, 1e6))
def test_decide__fewer_requests_than_asked_for__never_promotes(
    requests: int, errors: int, seconds: float
) -> None:
    figures = Figures(
        requests=requests, errors=min(errors, requests), answered=requests, p99_ms=1.0
    )
    evidence = Evidence(step_candidate=figures, total_candidate=figures)
    decision = decide(snapshot(), evidence, later(seconds))
    assert decision.trigger in (None, Trigger.EXPIRE)


def test_promotion__on_the_last_step__completes() -> None:
    assert promotion(snapshot(index=1), to_end=False) is Trigger.PROMOTE
    assert promotion(snapshot(index=1), to_end=True) is Trigger.COMPLETE
    assert promotion(snapshot(index=2), to_end=False) is Trigger.COMPLETE


def test_next_index__moves_only_forward() -> None:
    assert next_index(snapshot(State.PENDING, index=-1), Trigger.START) == 0
    assert next_index(snapshot(index=1), Trigger.PROMOTE) == 2
    assert next_index(snapshot(index=1), Trigger.PAUSE) == 1


@pytest.mark.parametrize(("tier", "days"), [("standard", 25 / 24), ("critical", 7)])
def test_defaults__of_a_tier__take_the_time_of_the_design(tier: str, days: float) -> None:
    steps = default_steps(tier)
    assert [step.weight for step in steps] == [500, 2_000, 5_000, 10_000]
    assert sum(step.hold_s for step in steps) == days * 86_400
    assert default_conditions(tier).p99_pass_ms == {"standard": 500, "critical": 100}[tier]
