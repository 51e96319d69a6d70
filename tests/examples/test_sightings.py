from typing import Any

import pytest

from examples.flights.sightings import (
    Books,
    accuracy,
    books,
    by_version,
    failures,
    moved_off,
    units_on,
)
from examples.flights.traffic import Answer


def answer(unit: str, version: str, generation: int, **more: Any) -> Answer:
    values: dict[str, Any] = {"at": 0.0, "status": 200, "truth": "", **more}
    return Answer(unit=unit, model_version=version, generation=generation, **values)


def test_moved_off__unit_goes_to_the_candidate_and_stays__is_empty() -> None:
    answers = [answer("a", "1", 1), answer("a", "2", 2), answer("a", "2", 3), answer("b", "1", 3)]
    assert moved_off(answers, candidate="2") == set()


def test_moved_off__unit_returns_to_stable__is_named() -> None:
    answers = [answer("a", "2", 2), answer("a", "1", 3), answer("b", "2", 3)]
    assert moved_off(answers, candidate="2") == {"a"}


def test_moved_off__two_versions_in_one_generation__is_named() -> None:
    assert moved_off([answer("a", "2", 2), answer("a", "1", 2)], candidate="2") == {"a"}


def test_moved_off__late_answer_of_an_older_generation__is_no_move() -> None:
    assert moved_off([answer("a", "2", 3), answer("a", "1", 2)], candidate="2") == set()


def test_moved_off__fallback_answered__is_no_move() -> None:
    answers = [answer("a", "2", 2), answer("a", "1", 2, fallback="variant")]
    assert moved_off(answers, candidate="2") == set()


@pytest.fixture
def mixed() -> list[Answer]:
    return [
        answer("a", "1", 1, label="delayed", truth="delayed"),
        answer("b", "1", 1, label="delayed", truth="on time"),
        answer("c", "2", 1, label="delayed"),
        answer("d", "2", 1, status=503),
    ]


def test_counts__failed_answers__are_no_predictions(mixed: list[Answer]) -> None:
    assert by_version(mixed) == {"1": 2, "2": 1}
    assert failures(mixed) == {503: 1}
    assert units_on(mixed, version="2") == {"c"}


def test_accuracy__unknown_truths__do_not_count(mixed: list[Answer]) -> None:
    assert accuracy(mixed, version="1") == (0.5, 2)
    assert accuracy(mixed, version="2") == (0.0, 0)


def test_books__zeroes_on_one_side__are_equal(mixed: list[Answer]) -> None:
    seen = books([*mixed, answer("e", "2", 1, variant="canary", truth="delayed")])
    counted = Books(
        answered={"": 3, "canary": 1, "gone": 0},
        failed=1,
        recorded={"2": 2, "1": 2, "4": 0},
        labelled={"1": 2, "2": 1, "3": 0},
    )
    assert seen == counted
