"""The rules of promotion: every state with every trigger, and ladders of any make."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.registry.promotion import (
    DEFAULT_LADDER,
    Allowance,
    BadLadder,
    Ladder,
    Move,
    RequestState,
    Rung,
    Stage,
    Trigger,
    allowance,
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
ALLOWANCES = {"staging": "shadow", "production": "all", "deprecated": "all"}
DIGEST = "a" * 64
NONE, SHADOW, ALL = Allowance.NONE, Allowance.SHADOW, Allowance.ALL


@pytest.mark.parametrize(("stage", "move"), [*itertools.product(Stage, Move)])
def test_stage__every_move__as_listed_and_no_other(stage: Stage, move: Move) -> None:
    found = DEFAULT_LADDER.stage_after(stage.value, move)
    assert found == MOVES.get((stage.value, move.value))


@pytest.mark.parametrize(("state", "trigger"), [*itertools.product(RequestState, Trigger)])
def test_request__every_trigger__as_listed_and_no_other(
    state: RequestState, trigger: Trigger
) -> None:
    assert state_after(state, trigger) == TRANSITIONS.get((state.value, trigger.value))


@pytest.mark.parametrize("stage", list(Stage))
def test_allowance__of_each_stage__as_listed(stage: Stage) -> None:
    assert DEFAULT_LADDER.allowance(stage.value) == ALLOWANCES.get(stage.value, "none")


@pytest.mark.parametrize("allows", list(Allowance))
def test_allowance__other_than_signed__none(allows: Allowance) -> None:
    assert allowance(allows, approved_digest=DIGEST, signed_digest=DIGEST) is allows
    for approved in ("", "b" * 64):
        assert allowance(allows, approved_digest=approved, signed_digest=DIGEST) is NONE


def rungs(*given: tuple[str, Allowance]) -> tuple[Rung, ...]:
    return tuple(Rung(key, key.title(), allows) for key, allows in given)


@pytest.mark.parametrize(
    ("stages", "path"),
    [
        (rungs(), "stages"),
        (rungs(("dev", NONE)), "stages"),
        (rungs(("qa", NONE), ("live", ALL)), "stages"),
        (rungs(("dev", SHADOW), ("live", ALL)), "stages[0].allowance"),
        (rungs(("dev", NONE), ("qa", SHADOW)), "stages"),
        (rungs(("dev", NONE), ("live", ALL), ("more", ALL)), "stages[1].allowance"),
        (
            rungs(("dev", NONE), ("a", SHADOW), ("b", NONE), ("live", ALL)),
            "stages[2].allowance",
        ),
        (rungs(("dev", NONE), ("dev", ALL)), "stages[1].key"),
        (rungs(("dev", NONE), ("archived", ALL)), "stages[1].key"),
        (rungs(("dev", NONE), ("Live!", ALL)), "stages[1].key"),
    ],
)
def test_ladder__that_is_none__names_the_fault(stages: tuple[Rung, ...], path: str) -> None:
    with pytest.raises(BadLadder) as refused:
        Ladder(stages)
    assert refused.value.path == path


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True).filter(
        lambda name: name not in set(Stage)
    )
    keys = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    closed = draw(st.integers(0, len(keys) - 1))
    middle = [NONE if index < closed else SHADOW for index in range(len(keys) - 1)]
    return Ladder(rungs(("dev", NONE), *zip(keys, [*middle, ALL], strict=True)))


@given(ladders())
def test_ladder__of_any_make__is_climbed_one_by_one_to_the_only_top(ladder: Ladder) -> None:
    climbed, stage = ["dev"], "dev"
    while (higher := ladder.stage_after(stage, Move.PROMOTE)) is not None:
        climbed.append(higher)
        stage = higher
    assert climbed == [rung.key for rung in ladder.rungs]
    assert stage == ladder.top
    assert [key for key in climbed if ladder.allowance(key) is ALL] == [ladder.top]


@given(ladders(), st.sampled_from(Move), st.data())
def test_ladder__of_any_make__no_move_but_a_promotion_gives_more(
    ladder: Ladder, move: Move, data: st.DataObject
) -> None:
    rank = [NONE, SHADOW, ALL]
    stages = [*(rung.key for rung in ladder.rungs), "deprecated", "archived", "gone"]
    stage = data.draw(st.sampled_from(stages))
    after = ladder.stage_after(stage, move)
    if after is not None and move is not Move.PROMOTE:
        assert rank.index(ladder.allowance(after)) <= rank.index(ladder.allowance(stage))
