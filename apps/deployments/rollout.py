"""A rollout's states, what may follow on what, and the decision of each tick. Pure.

No Django, no clock, no I/O: services read a snapshot and the evidence, `decide` says what follows,
services do it as compare-and-swap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from apps.deployments.analysis import Conditions, Evidence, Outcome, Verdict, judge


class State(StrEnum):
    """Where a rollout is."""

    PENDING = "pending"
    PROGRESSING = "progressing"
    PAUSED = "paused"
    WAITING = "waiting"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"


class Trigger(StrEnum):
    """What moves it: the tick (start, advance, complete, expire, fail) or a human (the rest)."""

    START = "start"
    ADVANCE = "advance"
    COMPLETE = "complete"
    EXPIRE = "expire"
    FAIL = "fail"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    ROLL_BACK = "roll_back"


LIVE = frozenset({State.PROGRESSING, State.PAUSED, State.WAITING})
FINISHED = frozenset({State.COMPLETED, State.ROLLED_BACK, State.ABORTED})

_LIVE_EXITS: Mapping[Trigger, State] = {
    Trigger.PROMOTE: State.PROGRESSING,
    Trigger.COMPLETE: State.COMPLETED,
    Trigger.FAIL: State.ROLLED_BACK,
    Trigger.ROLL_BACK: State.ROLLED_BACK,
    Trigger.ABORT: State.ABORTED,
}

# Everything that is not here is refused. A completed rollout can still be rolled back, by a human
# or by a gateway's evidence that arrives late; nobody's answer in time aborts.
TRANSITIONS: Mapping[tuple[State, Trigger], State] = {
    (State.PENDING, Trigger.START): State.PROGRESSING,
    (State.PENDING, Trigger.ABORT): State.ABORTED,
    (State.PENDING, Trigger.EXPIRE): State.ABORTED,
    **{(state, trigger): after for state in LIVE for trigger, after in _LIVE_EXITS.items()},
    (State.PROGRESSING, Trigger.ADVANCE): State.PROGRESSING,
    (State.PROGRESSING, Trigger.PAUSE): State.PAUSED,
    (State.PROGRESSING, Trigger.EXPIRE): State.WAITING,
    (State.PAUSED, Trigger.RESUME): State.PROGRESSING,
    (State.PAUSED, Trigger.EXPIRE): State.WAITING,
    (State.WAITING, Trigger.RESUME): State.PROGRESSING,
    (State.WAITING, Trigger.PAUSE): State.PAUSED,
    (State.WAITING, Trigger.EXPIRE): State.ABORTED,
    (State.COMPLETED, Trigger.ROLL_BACK): State.ROLLED_BACK,
    (State.COMPLETED, Trigger.FAIL): State.ROLLED_BACK,
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Candidate weight in basis points (10,000 = all), and what it takes to go on."""

    weight: int
    hold_s: float
    minimum_requests: int = 100
    minimum_labels: int = 0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A rollout as it is now. `step_index` is -1 before the first step."""

    state: State
    steps: Sequence[Step]
    conditions: Conditions
    step_index: int
    step_started_at: datetime
    state_entered_at: datetime

    @property
    def step(self) -> Step:
        """The current step."""
        return self.steps[max(self.step_index, 0)]

    @property
    def is_last_step(self) -> bool:
        """Whether nothing follows on the current step."""
        return self.step_index >= len(self.steps) - 1


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do now (`trigger` None: nothing), why, and the verdicts that led to it."""

    trigger: Trigger | None
    reason: str
    verdicts: tuple[Verdict, ...] = ()


def after(state: State, trigger: Trigger) -> State | None:
    """The state that follows, or None where the trigger is refused."""
    return TRANSITIONS.get((state, trigger))


def decide(snapshot: Snapshot, evidence: Evidence, now: datetime) -> Decision:
    """What follows from the evidence at `now`.

    A failed metric rolls back in every live state; a step goes on when its hold is over and every
    metric passes; a state that has waited to its deadline asks a human, or aborts if it did.
    """
    if snapshot.state in FINISHED:
        return Decision(trigger=None, reason="the rollout is over")
    if snapshot.state is State.PENDING:
        return _decide_start(snapshot, evidence, now)
    step = snapshot.step
    verdicts = judge(
        evidence,
        snapshot.conditions,
        minimum_requests=step.minimum_requests,
        minimum_labels=step.minimum_labels,
    )
    trigger, reason = _decide_live(snapshot, verdicts, now)
    return Decision(trigger=trigger, reason=reason, verdicts=verdicts)


def _decide_start(snapshot: Snapshot, evidence: Evidence, now: datetime) -> Decision:
    if evidence.candidate_ready:
        return Decision(trigger=Trigger.START, reason="the candidate is ready to serve")
    if now >= deadline(snapshot):
        return Decision(trigger=Trigger.EXPIRE, reason="the candidate was not ready in time")
    return Decision(trigger=None, reason="waiting for the candidate to be ready")


def _decide_live(
    snapshot: Snapshot, verdicts: tuple[Verdict, ...], now: datetime
) -> tuple[Trigger | None, str]:
    failed = [v.sentence for v in verdicts if v.outcome is Outcome.FAIL]
    if failed:
        return Trigger.FAIL, "; ".join(failed)
    unmet = [v.sentence for v in verdicts if v.outcome is not Outcome.PASS]
    holding = now < hold_ends_at(snapshot)
    if snapshot.state is State.PROGRESSING and not holding and not unmet:
        trigger = Trigger.COMPLETE if snapshot.is_last_step else Trigger.ADVANCE
        return trigger, "; ".join(v.sentence for v in verdicts)
    if now >= deadline(snapshot):
        return Trigger.EXPIRE, _expired(snapshot, unmet)
    if snapshot.state is not State.PROGRESSING:
        return None, "waiting for a human"
    return None, "holding" if holding else "holding: " + "; ".join(unmet)


def _expired(snapshot: Snapshot, unmet: Sequence[str]) -> str:
    if snapshot.state is State.WAITING:
        return "nobody answered in time"
    if snapshot.state is State.PAUSED:
        return "paused for too long"
    return "; ".join(unmet)


def hold_ends_at(snapshot: Snapshot) -> datetime:
    """When the current step has been held for as long as it asks."""
    return snapshot.step_started_at + timedelta(seconds=snapshot.step.hold_s)


def deadline(snapshot: Snapshot) -> datetime:
    """When the current state gives up waiting. For a step: counted from the end of its hold."""
    conditions, entered = snapshot.conditions, snapshot.state_entered_at
    if snapshot.state is State.PROGRESSING:
        waits_from = max(hold_ends_at(snapshot), entered)
        return waits_from + timedelta(seconds=conditions.step_deadline_s)
    seconds = {
        State.PENDING: conditions.start_deadline_s,
        State.PAUSED: conditions.pause_deadline_s,
        State.WAITING: conditions.answer_deadline_s,
    }
    return entered + timedelta(seconds=seconds[snapshot.state])


def next_index(snapshot: Snapshot, trigger: Trigger) -> int:
    """The step index after `trigger`."""
    if trigger in (Trigger.START, Trigger.ADVANCE, Trigger.PROMOTE):
        return snapshot.step_index + 1
    return snapshot.step_index


def promotion(snapshot: Snapshot, *, to_end: bool) -> Trigger:
    """What a human's promotion means: the next step, or completion where none follows."""
    return Trigger.COMPLETE if to_end or snapshot.is_last_step else Trigger.PROMOTE


_HOUR = 3_600.0
_RAMP = (500, 2_000, 5_000, 10_000)
_HOLDS = {
    "standard": (_HOUR, 8 * _HOUR, 8 * _HOUR, 8 * _HOUR),
    "critical": (24 * _HOUR, 48 * _HOUR, 48 * _HOUR, 48 * _HOUR),
}
_P99_PASS_MS = {"standard": 500.0, "critical": 100.0}


def default_steps(tier: str) -> tuple[Step, ...]:
    """The ramp that ships for a model's tier ("standard" or "critical")."""
    return tuple(
        Step(weight=weight, hold_s=hold) for weight, hold in zip(_RAMP, _HOLDS[tier], strict=True)
    )


def default_conditions(tier: str) -> Conditions:
    """The limits that ship for a model's tier."""
    limit = _P99_PASS_MS[tier]
    return Conditions(p99_pass_ms=limit, p99_fail_ms=2 * limit)
