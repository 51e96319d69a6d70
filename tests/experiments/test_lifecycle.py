"""Every state with every trigger, and every fault of a plan."""

from collections.abc import Sequence

import pytest

from apps.experiments.lifecycle import PlannedArm, State, Trigger, after, fault_of

EXPECTED = {
    (State.DRAFT, Trigger.START): State.RUNNING,
    (State.DRAFT, Trigger.STOP): None,
    (State.DRAFT, Trigger.DECIDE): None,
    (State.DRAFT, Trigger.ARCHIVE): State.ARCHIVED,
    (State.RUNNING, Trigger.START): None,
    (State.RUNNING, Trigger.STOP): State.STOPPED,
    (State.RUNNING, Trigger.DECIDE): None,
    (State.RUNNING, Trigger.ARCHIVE): None,
    (State.STOPPED, Trigger.START): None,
    (State.STOPPED, Trigger.STOP): None,
    (State.STOPPED, Trigger.DECIDE): State.DECIDED,
    (State.STOPPED, Trigger.ARCHIVE): State.ARCHIVED,
    (State.DECIDED, Trigger.START): None,
    (State.DECIDED, Trigger.STOP): None,
    (State.DECIDED, Trigger.DECIDE): None,
    (State.DECIDED, Trigger.ARCHIVE): State.ARCHIVED,
    (State.ARCHIVED, Trigger.START): None,
    (State.ARCHIVED, Trigger.STOP): None,
    (State.ARCHIVED, Trigger.DECIDE): None,
    (State.ARCHIVED, Trigger.ARCHIVE): None,
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("trigger", list(Trigger))
def test_transition__each_pair__as_designed(state: State, trigger: Trigger) -> None:
    assert after(state, trigger) == EXPECTED[state, trigger]


def arm(key: str, weight: int = 5_000, *, control: bool = False) -> PlannedArm:
    return PlannedArm(key=key, weight=weight, is_control=control)


def test_plan__two_arms_and_a_control__is_fine() -> None:
    assert fault_of([arm("a", control=True), arm("b")]) is None


@pytest.mark.parametrize(
    ("arms", "path"),
    [
        ([arm("a", 10_000, control=True)], "arms"),
        ([arm("a", control=True), arm("a")], "arms[1].variant"),
        ([arm("a", 10_000, control=True), arm("b", 0)], "arms[1].weight"),
        ([arm("a"), arm("b")], "arms"),
        ([arm("a", control=True), arm("b", control=True)], "arms"),
        ([arm("a", control=True), arm("b", 4_000)], "arms"),
    ],
)
def test_plan__that_teaches_nothing__fault_names_where(
    arms: Sequence[PlannedArm], path: str
) -> None:
    fault = fault_of(arms)
    assert fault is not None
    assert fault.path == path
