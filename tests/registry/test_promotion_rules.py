"""The rules of promotion: every state with every trigger."""

import itertools

import pytest

from apps.registry.promotion import (
    Allowance,
    Decider,
    Move,
    Refusal,
    RequestState,
    Stage,
    Trigger,
    allowance,
    next_promotion,
    refusal,
    stage_after,
    state_after,
)

MOVES = {
    ("dev", "promote"): "staging",
    ("staging", "promote"): "production",
    ("production", "deprecate"): "deprecated",
    ("deprecated", "reinstate"): "production",
    ("dev", "archive"): "archived",
    ("staging", "archive"): "archived",
    ("deprecated", "archive"): "archived",
}
TRANSITIONS = {
    ("requested", "approve"): "approved",
    ("requested", "reject"): "rejected",
    ("requested", "withdraw"): "withdrawn",
    ("requested", "expire"): "expired",
    ("requested", "void"): "void",
    ("approved", "void"): "void",
}
DIGEST = "a" * 64


@pytest.mark.parametrize(("stage", "move"), [*itertools.product(Stage, Move)])
def test_stage__every_move__as_listed_and_no_other(stage: Stage, move: Move) -> None:
    assert stage_after(stage, move) == MOVES.get((stage.value, move.value))


@pytest.mark.parametrize(("state", "trigger"), [*itertools.product(RequestState, Trigger)])
def test_request__every_trigger__as_listed_and_no_other(
    state: RequestState, trigger: Trigger
) -> None:
    assert state_after(state, trigger) == TRANSITIONS.get((state.value, trigger.value))


@pytest.mark.parametrize(
    ("stage", "target"),
    [("dev", "staging"), ("staging", "production")]
    + [(stage, None) for stage in ("production", "deprecated", "archived")],
)
def test_next_promotion__of_each_stage__one_step_up(stage: str, target: str | None) -> None:
    assert next_promotion(Stage(stage)) == target


@pytest.mark.parametrize(
    ("kind", "human", "expected"),
    [
        ("user", "user:grace", None),
        ("user", "user:ada", Refusal.REQUESTER),
        ("user", "user:alan", Refusal.AUTHOR),
        ("service", "user:grace", Refusal.NOT_HUMAN),
        ("service", "user:ada", Refusal.NOT_HUMAN),
        ("system", "system:rollout", Refusal.NOT_HUMAN),
    ],
)
def test_refusal__of_each_decider__four_eyes(
    kind: str, human: str, expected: Refusal | None
) -> None:
    assert refusal(Decider(kind, human), requester="user:ada", author="user:alan") is expected


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Stage.DEV, Allowance.NONE),
        (Stage.STAGING, Allowance.SHADOW),
        (Stage.PRODUCTION, Allowance.ALL),
        (Stage.DEPRECATED, Allowance.ALL),
        (Stage.ARCHIVED, Allowance.NONE),
    ],
)
def test_allowance__approved_content__by_stage(stage: Stage, expected: Allowance) -> None:
    assert allowance(stage, approved_digest=DIGEST, content_digest=DIGEST) is expected


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("approved", ["", "b" * 64])
def test_allowance__other_content_than_approved__none(stage: Stage, approved: str) -> None:
    found = allowance(stage, approved_digest=approved, content_digest=DIGEST)
    assert found is Allowance.NONE
