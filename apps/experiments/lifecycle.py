"""An experiment's states and what may follow on what. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

BUCKETS = 10_000


class State(StrEnum):
    """Where an experiment is."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    DECIDED = "decided"
    ARCHIVED = "archived"


class Trigger(StrEnum):
    """What moves it; people pull all of them."""

    START = "start"
    STOP = "stop"
    DECIDE = "decide"
    ARCHIVE = "archive"


class Decision(StrEnum):
    """What people concluded."""

    SHIP = "ship"
    NO_SHIP = "no_ship"
    INCONCLUSIVE = "inconclusive"


# Everything that is not here is refused: what ran is never run again, and what runs is stopped
# (its users returned) before anything is concluded from it.
TRANSITIONS: Mapping[tuple[State, Trigger], State] = {
    (State.DRAFT, Trigger.START): State.RUNNING,
    (State.DRAFT, Trigger.ARCHIVE): State.ARCHIVED,
    (State.RUNNING, Trigger.STOP): State.STOPPED,
    (State.STOPPED, Trigger.DECIDE): State.DECIDED,
    (State.STOPPED, Trigger.ARCHIVE): State.ARCHIVED,
    (State.DECIDED, Trigger.ARCHIVE): State.ARCHIVED,
}


def after(state: State, trigger: Trigger) -> State | None:
    """The state that follows, or None where the trigger is refused."""
    return TRANSITIONS.get((state, trigger))


@dataclass(frozen=True, kw_only=True)
class PlannedArm:
    """An arm as it is planned; `weight` in buckets of 10,000."""

    key: str
    weight: int
    is_control: bool


@dataclass(frozen=True)
class Fault:
    """What is wrong with a plan, and where (a JSON path without its "$.")."""

    path: str
    text: str


def fault_of(arms: Sequence[PlannedArm]) -> Fault | None:
    """The first thing that keeps arms from being compared, or None."""
    if len(arms) < 2:
        return Fault("arms", "an experiment compares at least two arms")
    keys = [arm.key for arm in arms]
    for number, arm in enumerate(arms):
        if arm.key in keys[:number]:
            return Fault(f"arms[{number}].variant", f"arm {arm.key!r} is listed twice")
        if arm.weight <= 0:
            return Fault(f"arms[{number}].weight", "an arm without traffic shows nothing")
    if sum(arm.is_control for arm in arms) != 1:
        return Fault("arms", "exactly one arm is the control")
    total = sum(arm.weight for arm in arms)
    if total != BUCKETS:
        return Fault("arms", f"weights sum to {total}, not {BUCKETS:,}")
    return None
