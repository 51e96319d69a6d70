"""The deployment's state machine: every (state, trigger) pair, and what follows on what is seen."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from apps.deployments.deployment import (
    DEADLINES_S,
    FINISHED,
    MOVING,
    OPEN,
    Sight,
    State,
    Trigger,
    after,
    decide,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)

EXPECTED = {
    State.PENDING: {Trigger.PLACED: "loading", Trigger.FAIL: "failed"},
    State.LOADING: {
        Trigger.LOADED: "testing",
        Trigger.LOST: "pending",
        Trigger.FAIL: "failed",
    },
    State.TESTING: {
        Trigger.ANSWERED: "healthy",
        Trigger.LOST: "pending",
        Trigger.FAIL: "failed",
    },
    State.HEALTHY: {
        Trigger.LOST: "pending",
        Trigger.SUPERSEDE: "superseded",
        Trigger.REMOVE: "removing",
    },
    State.FAILED: {Trigger.REMOVE: "removing"},
    State.REMOVING: {Trigger.GONE: "removed"},
    State.SUPERSEDED: {},
    State.REMOVED: {},
}


@pytest.mark.parametrize(("state", "trigger"), list(product(State, Trigger)))
def test_machine__every_state_and_trigger__leads_where_it_should(
    state: State, trigger: Trigger
) -> None:
    assert after(state, trigger) == EXPECTED[state].get(trigger)


def test_machine__every_state__moves_or_is_finished() -> None:
    assert set(State) == MOVING | FINISHED
    assert set(DEADLINES_S) == OPEN


@pytest.mark.parametrize(
    ("state", "sight", "trigger"),
    [
        (State.PENDING, Sight(placed=True), Trigger.PLACED),
        (State.PENDING, Sight(error="away"), None),
        (State.PENDING, Sight(refused="no"), Trigger.FAIL),
        (State.LOADING, Sight(state="fetching", progress=0.5), None),
        (State.LOADING, Sight(state="ready"), Trigger.LOADED),
        (State.LOADING, Sight(state="failed", error="broken"), Trigger.FAIL),
        (State.LOADING, Sight(state="absent"), Trigger.LOST),
        (State.TESTING, Sight(state="ready"), None),
        (State.TESTING, Sight(state="ready", answered=True), Trigger.ANSWERED),
        (State.TESTING, Sight(state="absent"), Trigger.LOST),
        (State.REMOVING, Sight(error="away"), None),
        (State.REMOVING, Sight(gone=True), Trigger.GONE),
        (State.HEALTHY, Sight(state="failed"), None),
    ],
)
def test_decide__what_was_seen__followed(
    state: State, sight: Sight, trigger: Trigger | None
) -> None:
    assert decide(state, T0, sight, T0).trigger is trigger


@pytest.mark.parametrize("state", sorted(OPEN))
def test_decide__waiting_past_the_deadline__fails_with_the_last_error(state: State) -> None:
    late = T0 + timedelta(seconds=DEADLINES_S[state])
    decision = decide(state, T0, Sight(error="puller away"), late)
    assert decision.trigger is Trigger.FAIL
    assert "puller away" in decision.reason
