"""Stages, promotion requests and who may decide: the rules, without database, clock or I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a version has come; a deprecated one still serves until it is archived."""

    DEV = "dev"
    STAGING = "staging"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class Move(StrEnum):
    """What changes a stage. PROMOTE needs an approved request; the others do not."""

    PROMOTE = "promote"
    DEPRECATE = "deprecate"
    REINSTATE = "reinstate"
    ARCHIVE = "archive"


class RequestState(StrEnum):
    """Where a promotion request stands; VOID means that what was signed has changed since."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    VOID = "void"


class Trigger(StrEnum):
    """What happens to a promotion request."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    VOID = "void"


class Allowance(StrEnum):
    """Which traffic a version may get."""

    NONE = "none"
    SHADOW = "shadow"
    ALL = "all"


class Refusal(StrEnum):
    """Why somebody may not decide a request, in words."""

    NOT_HUMAN = "only a person decides about a promotion"
    REQUESTER = "whoever asked for a promotion cannot decide it: four eyes mean two people"
    AUTHOR = "the version's author cannot decide its promotion: four eyes mean two people"


STAGE_MOVES: Mapping[tuple[Stage, Move], Stage] = {
    (Stage.DEV, Move.PROMOTE): Stage.STAGING,
    (Stage.STAGING, Move.PROMOTE): Stage.PRODUCTION,
    (Stage.PRODUCTION, Move.DEPRECATE): Stage.DEPRECATED,
    (Stage.DEPRECATED, Move.REINSTATE): Stage.PRODUCTION,
    (Stage.DEV, Move.ARCHIVE): Stage.ARCHIVED,
    (Stage.STAGING, Move.ARCHIVE): Stage.ARCHIVED,
    (Stage.DEPRECATED, Move.ARCHIVE): Stage.ARCHIVED,
}

REQUEST_TRANSITIONS: Mapping[tuple[RequestState, Trigger], RequestState] = {
    (RequestState.REQUESTED, Trigger.APPROVE): RequestState.APPROVED,
    (RequestState.REQUESTED, Trigger.REJECT): RequestState.REJECTED,
    (RequestState.REQUESTED, Trigger.WITHDRAW): RequestState.WITHDRAWN,
    (RequestState.REQUESTED, Trigger.EXPIRE): RequestState.EXPIRED,
    (RequestState.REQUESTED, Trigger.VOID): RequestState.VOID,
    (RequestState.APPROVED, Trigger.VOID): RequestState.VOID,
}

ALLOWANCES: Mapping[Stage, Allowance] = {
    Stage.DEV: Allowance.NONE,
    Stage.STAGING: Allowance.SHADOW,
    Stage.PRODUCTION: Allowance.ALL,
    Stage.DEPRECATED: Allowance.ALL,
    Stage.ARCHIVED: Allowance.NONE,
}

APPROVED_STAGES = frozenset({Stage.STAGING, Stage.PRODUCTION, Stage.DEPRECATED})
PROMOTION_TARGETS = frozenset(
    after for (_, move), after in STAGE_MOVES.items() if move is Move.PROMOTE
)


@dataclass(frozen=True)
class Decider:
    """Whoever wants to decide: "user", "service" or "system", and the human behind it."""

    kind: str
    human_key: str


def stage_after(stage: Stage, move: Move) -> Stage | None:
    """The stage that `move` leads to, or None where it is not allowed."""
    return STAGE_MOVES.get((stage, move))


def next_promotion(stage: Stage) -> Stage | None:
    """The stage that an approval would give a version, or None where there is none."""
    return stage_after(stage, Move.PROMOTE)


def state_after(state: RequestState, trigger: Trigger) -> RequestState | None:
    """The state that `trigger` leads to, or None where it is not allowed."""
    return REQUEST_TRANSITIONS.get((state, trigger))


def refusal(decider: Decider, *, requester: str, author: str) -> Refusal | None:
    """Why `decider` may not decide, or None; `requester` and `author` are keys of humans."""
    if decider.kind != "user":
        return Refusal.NOT_HUMAN
    if decider.human_key == requester:
        return Refusal.REQUESTER
    if decider.human_key == author:
        return Refusal.AUTHOR
    return None


def allowance(stage: Stage, *, approved_digest: str, content_digest: str) -> Allowance:
    """Which traffic a stage allows; none when what was approved is not what is there."""
    if not approved_digest or approved_digest != content_digest:
        return Allowance.NONE
    return ALLOWANCES[stage]
