"""Figures of checks as pictures: places on a scale, limits, and nothing where nothing is to see."""

from typing import Any

import pytest

from apps.registry.pictures import WIDTH, picture_of


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"p95_ms": 12.5, "most_ms": 100.0}, ["12.5 of 100"]),
        (
            {"auc": {"value": 0.9, "minimum": 0.8, "interval": {"low": 0.88, "high": 0.92}}},
            ["0.9 (0.88 to 0.92)"],
        ),
        (
            {"auc": {"value": 0.9, "champion": 0.8, "gain": {"low": -0.02, "high": 0.04}}},
            ["0.01 (-0.02 to 0.04)"],
        ),
        (
            {"minimum": 0.7, "slices": [{"slice": "a", "value": 0.6}, {"slice": "b", "value": 1}]},
            ["0.6 of 0.7", "1 of 0.7"],
        ),
        (
            {"gaps": [{"groups": "sex", "measure": "demographic_parity", "limit": 0.1,
                       "value": 0.04, "low": 0.01, "high": 0.07}]},
            ["0.04 (0.01 to 0.07)"],
        ),
        ({"rows": 400, "minimum_rows": 1000, "agreement": 0.98}, ["400 of 1000"]),
    ],
)  # fmt: skip
def test_picture__each_kind_of_figures__a_row_each_within_its_width(
    figures: dict[str, Any], words: list[str]
) -> None:
    picture = picture_of(figures)
    assert picture is not None
    assert [mark.words for mark in picture.marks] == words
    places = [
        place
        for mark in picture.marks
        for place in (mark.x, mark.left, mark.right, mark.limit, mark.zero)
        if place is not None
    ]
    assert all(0 <= place <= WIDTH for place in places)


def test_picture__value_above_its_limit__lies_right_of_it() -> None:
    picture = picture_of({"p95_ms": 130, "most_ms": 100})
    assert picture is not None
    (mark,) = picture.marks
    assert mark.limit is not None
    assert mark.x > mark.limit


@pytest.mark.parametrize("figures", [{}, {"packages": {"numpy": "2"}}, {"value": 3}, {"x": True}])
def test_picture__nothing_to_see__none(figures: dict[str, Any]) -> None:
    assert picture_of(figures) is None


def test_picture__many_slices__cut_and_counted() -> None:
    slices = [{"slice": f"s={number}", "value": number / 40} for number in range(40)]
    picture = picture_of({"minimum": 0.5, "slices": slices})
    assert picture is not None
    assert (len(picture.marks), picture.more) == (12, 28)
