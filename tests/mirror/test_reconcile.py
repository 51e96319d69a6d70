"""What follows from how a model is there and how it was here: a table."""

from dataclasses import replace

import pytest

from apps.mirror.reconcile import (
    Action,
    AddModel,
    AddVersion,
    Agree,
    Describe,
    Differ,
    OurModel,
    OurVersion,
    TakeAlias,
    TheirModel,
    TheirVersion,
    merged,
    reconcile,
    renames,
)

V1 = TheirVersion(1, source="models:/m-1", run_id="r1", created_ms=5)
V2 = TheirVersion(2, source="models:/m-2", run_id="r2", created_ms=6)
W1 = OurVersion(1, source="models:/m-1", run_id="r1", created_ms=5, digest="aa")
BOTH = frozenset({1})
THEIRS = TheirModel("late", aliases={"champion": "1"}, versions=[V1], numbers=BOTH)
OURS = OurModel("late", aliases={"champion": "1"}, wanted={"champion": "1"}, versions={1: W1})


def moved(alias: str, was: str, found: str) -> Differ:
    return Differ("alias_moved", alias, {"version": was}, {"version": found})


TABLE: dict[str, tuple[TheirModel | None, OurModel | None, list[Action]]] = {
    "nothing anywhere": (None, None, []),
    "the same": (THEIRS, OURS, []),
    "a new model, whose champion nobody approved": (
        THEIRS,
        None,
        [AddModel(THEIRS), AddVersion(V1), moved("champion", "", "1")],
    ),
    "a new alias that anybody may set": (
        replace(THEIRS, aliases={"champion": "1", "tested": "1"}),
        OURS,
        [TakeAlias("tested", "1")],
    ),
    "a new version": (
        replace(THEIRS, versions=[V1, V2], numbers=frozenset({1, 2})),
        OURS,
        [AddVersion(V2)],
    ),
    "a version that is there again": (
        THEIRS,
        replace(OURS, versions={1: replace(W1, gone=True)}),
        [AddVersion(V1, returned=True)],
    ),
    "words of the model": (
        replace(THEIRS, description="new"),
        OURS,
        [Describe(None, "new", {})],
    ),
    "words of a version": (
        replace(THEIRS, versions=[replace(V1, tags={"a": "b"})]),
        OURS,
        [Describe(1, "", {"a": "b"})],
    ),
    "our own tags are nobody's words": (
        replace(THEIRS, versions=[replace(V1, tags={"switchyard.stage": "staging"})]),
        replace(OURS, versions={1: replace(W1, written={"switchyard.stage": "staging"})}),
        [],
    ),
    "our own tag was changed": (
        replace(THEIRS, versions=[replace(V1, tags={"switchyard.stage": "production"})]),
        replace(OURS, versions={1: replace(W1, written={"switchyard.stage": "dev"})}),
        [
            Differ(
                "tags_changed",
                "1",
                {"switchyard.stage": "dev"},
                {"switchyard.stage": "production"},
                1,
            )
        ],
    ),
    "the champion was moved": (
        replace(THEIRS, aliases={"champion": "2"}),
        OURS,
        [moved("champion", "1", "2")],
    ),
    "the champion was taken away": (
        replace(THEIRS, aliases={}),
        OURS,
        [moved("champion", "1", "")],
    ),
    "it was moved and that was let stand": (
        replace(THEIRS, aliases={"champion": "2"}),
        replace(OURS, accepted={"champion": "2"}),
        [],
    ),
    "our decision is not written back yet": (THEIRS, replace(OURS, wanted={"champion": "2"}), []),
    "our decision is written and not noted": (
        replace(THEIRS, aliases={"champion": "2"}),
        replace(OURS, wanted={"champion": "2"}),
        [Agree("champion", "2")],
    ),
    "a version was deleted, and its alias with it": (
        replace(THEIRS, aliases={}, versions=[], numbers=frozenset()),
        OURS,
        [
            Differ(
                "version_deleted",
                "1",
                {"source": "models:/m-1", "run_id": "r1", "aliases": ["champion"]},
                {},
                1,
            )
        ],
    ),
    "not every version was looked at": (replace(THEIRS, versions=[], numbers=None), OURS, []),
    "the bytes are others": (
        replace(THEIRS, versions=[replace(V1, digest="bb")]),
        OURS,
        [Differ("artifact_changed", "1", {"digest": "aa"}, {"digest": "bb"}, 1)],
    ),
    "another run under the same number": (
        replace(THEIRS, versions=[replace(V1, run_id="r9", author="eve")]),
        OURS,
        [
            Differ(
                "artifact_changed",
                "1",
                {"source": "models:/m-1", "run_id": "r1"},
                {"source": "models:/m-1", "run_id": "r9"},
                1,
                "eve",
            )
        ],
    ),
    "MLflow's own stage was moved": (
        replace(THEIRS, versions=[replace(V1, stage="Production")]),
        OURS,
        [Differ("stage_moved", "1", {"stage": "None"}, {"stage": "Production"}, 1)],
    ),
    "the model was renamed": (
        replace(THEIRS, name="later"),
        OURS,
        [Differ("renamed", "", {"name": "late"}, {"name": "later"})],
    ),
    "the model was deleted": (
        None,
        OURS,
        [
            Differ(
                "model_deleted",
                "",
                {"name": "late", "versions": [1], "aliases": {"champion": "1"}},
                {},
            )
        ],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_reconcile__each_case__says_what_follows(case: str) -> None:
    theirs, ours, actions = TABLE[case]
    assert reconcile(theirs, ours) == actions


def test_renames__of_one_moment__are_told_apart_from_new_models() -> None:
    assert renames({"a": 5, "b": 6}, {"x": 5, "y": 9}) == {"a": "x"}
    assert renames({"a": 5}, {"x": 5, "y": 5}) == {}
    assert renames({"a": 5, "b": 5}, {"x": 5}) == {}
    assert renames({"a": 0}, {"x": 0}) == {}


def test_merged__what_we_added__stays() -> None:
    ours, base, theirs = {"a": "1", "b": "2", "own": "3"}, {"a": "1", "b": "2"}, {"a": "9"}
    assert merged(ours, base, theirs) == {"a": "9", "own": "3"}
