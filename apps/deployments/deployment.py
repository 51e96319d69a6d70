"""A deployment's states and what may follow on what. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """How far a version is on its way onto a target."""

    PENDING = "pending"
    LOADING = "loading"
    TESTING = "testing"
    HEALTHY = "healthy"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    REMOVING = "removing"
    REMOVED = "removed"


class Trigger(StrEnum):
    """What moves a deployment."""

    PLACED = "placed"
    LOADED = "loaded"
    LOST = "lost"
    ANSWERED = "answered"
    FAIL = "fail"
    SUPERSEDE = "supersede"
    REMOVE = "remove"
    GONE = "gone"


MOVING = frozenset({State.PENDING, State.LOADING, State.TESTING, State.REMOVING})
OPEN = frozenset({State.PENDING, State.LOADING, State.TESTING})
FINISHED = frozenset({State.HEALTHY, State.FAILED, State.SUPERSEDED, State.REMOVED})

TRANSITIONS: Mapping[tuple[State, Trigger], State] = {
    (State.PENDING, Trigger.PLACED): State.LOADING,
    (State.LOADING, Trigger.LOADED): State.TESTING,
    (State.LOADING, Trigger.LOST): State.PENDING,
    (State.TESTING, Trigger.ANSWERED): State.HEALTHY,
    (State.TESTING, Trigger.LOST): State.PENDING,
    **{(state, Trigger.FAIL): State.FAILED for state in OPEN},
    (State.HEALTHY, Trigger.LOST): State.PENDING,
    (State.HEALTHY, Trigger.SUPERSEDE): State.SUPERSEDED,
    (State.HEALTHY, Trigger.REMOVE): State.REMOVING,
    (State.FAILED, Trigger.REMOVE): State.REMOVING,
    (State.REMOVING, Trigger.GONE): State.REMOVED,
}

DEADLINES_S: Mapping[State, float] = {
    State.PENDING: 900.0,
    State.LOADING: 900.0,
    State.TESTING: 120.0,
}


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What was found out about a deployment: `state` is the driver's, "" when it did not answer.

    `answered` is set once a test prediction succeeded; `refused` tells why the target will never
    do what was asked of it, `error` what is wrong just now.
    """

    placed: bool = False
    state: str = ""
    answered: bool = False
    gone: bool = False
    progress: float = 0.0
    error: str = ""
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What follows (`trigger` None: nothing yet), and why."""

    trigger: Trigger | None
    reason: str = ""


def after(state: State, trigger: Trigger) -> State | None:
    """The state that follows, or None where the trigger is refused."""
    return TRANSITIONS.get((state, trigger))


def decide(state: State, entered_at: datetime, sight: Sight, now: datetime) -> Decision:
    """What follows from what was seen at `now`; what waits past its deadline fails."""
    if state not in MOVING:
        return Decision(trigger=None)
    if state in OPEN and sight.refused:
        return Decision(trigger=Trigger.FAIL, reason=sight.refused)
    trigger = _progress(state, sight)
    if trigger is not None:
        return Decision(trigger=trigger, reason=sight.error)
    limit = DEADLINES_S.get(state)
    if limit is not None and now >= entered_at + timedelta(seconds=limit):
        reason = f"not done within {limit:.0f} s: {sight.error or f'still {state}'}"
        return Decision(trigger=Trigger.FAIL, reason=reason)
    return Decision(trigger=None, reason=sight.error)


def _progress(state: State, sight: Sight) -> Trigger | None:
    if state is State.PENDING:
        return Trigger.PLACED if sight.placed else None
    if state is State.REMOVING:
        return Trigger.GONE if sight.gone else None
    if sight.state == "failed":
        return Trigger.FAIL
    if sight.state == "absent":
        return Trigger.LOST
    if state is State.LOADING:
        return Trigger.LOADED if sight.state == "ready" else None
    return Trigger.ANSWERED if sight.answered else None
