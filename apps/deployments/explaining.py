"""How far what explains a version is, beside the deployment that serves it. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum

from apps.deployments.deployment import Sight

DEADLINE_S = 900.0
NO_SAMPLE = "no background sample was logged with the model"


class Explaining(StrEnum):
    """The states. NONE: there is nothing to explain with."""

    NONE = "none"
    PENDING = "pending"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


MOVING = (Explaining.PENDING, Explaining.LOADING)


def words(state: Explaining, error: str) -> str:
    """How the state is told, and why."""
    if state is Explaining.READY:
        return "explanations available"
    if state in MOVING:
        return "explanations are being prepared"
    return f"explanations unavailable: {error}"


def decide(
    state: Explaining, entered_at: datetime, sight: Sight, now: datetime
) -> tuple[Explaining, str]:
    """The state that follows from what was seen at `now`, and why; the same one: nothing yet.

    Whatever is wrong ends in FAILED, which concerns nothing but explanations.
    """
    if state not in (*MOVING, Explaining.READY):
        return state, ""
    if sight.refused or sight.state == "failed":
        return Explaining.FAILED, sight.refused or sight.error
    if sight.state == "absent":
        return Explaining.PENDING, "the target lost it"
    following = _progress(state, sight)
    late = state in MOVING and now >= entered_at + timedelta(seconds=DEADLINE_S)
    if following is state and late:
        reason = f"not done within {DEADLINE_S:.0f} s: {sight.error or f'still {state}'}"
        return Explaining.FAILED, reason
    return following, sight.error


def _progress(state: Explaining, sight: Sight) -> Explaining:
    if state is Explaining.PENDING and sight.placed:
        return Explaining.LOADING
    if state is Explaining.LOADING and sight.answered:
        return Explaining.READY
    return state
