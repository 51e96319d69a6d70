"""Bins of a frozen reference, and profiles that add up."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.bins import (
    BOOLEAN,
    NumericBins,
    category_bins,
    numeric_bins,
    text_lengths,
)
from serving.profile import Column, Layout, Profile, merged
from tests.monitoring.drift.worlds import mixed, mixed_layout

NUMBERS = st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1.0, float("nan")])
GOING = st.sampled_from([float("inf"), float("-inf"), None])


def counted(bins: NumericBins, values: list[Any]) -> list[int]:
    found: list[int] = Profile.of(Layout.of({"x": bins}), {"x": values}).counts[0].tolist()
    return found


@pytest.mark.parametrize(
    ("reference", "counts"),
    [
        (list(range(100)), [10] * 10),
        ([7.0] * 9, [0, 9, 0]),
        ([0.0] * 95 + [1.0, 2.0, 3.0, 4.0, 5.0], [95, 5]),
        ([-2.0, -1.0] + [0.0] * 95 + [1.0, 2.0, 3.0], [2, 95, 3]),
        ([1.0, 2.0, 3.0], [1, 1, 1]),
    ],
    ids=["even", "constant", "tied low", "tied middle", "few"],
)
def test_numeric_bins__reference_with_ties__each_tie_alone(
    reference: list[float], counts: list[int]
) -> None:
    assert counted(numeric_bins(reference), reference) == counts


def test_numeric_bins__constant__tells_what_is_below_and_above() -> None:
    assert counted(numeric_bins([7.0]), [6.999, 7.0, 7.001, None]) == [1, 1, 1]


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=60), st.integers(2, 12))
def test_numeric_bins__any_reference__no_bin_empty_and_places_inside(
    values: list[float], bins: int
) -> None:
    found = numeric_bins(values, bins)
    assert sum(counted(found, values)) == len(values)
    assert len(set(values)) == 1 or 0 not in counted(found, values)
    assert found.cells <= max(3, 2 * bins)
    assert all(
        low <= place for low, place in zip((found.low, *found.edges), found.places, strict=True)
    )


@pytest.mark.parametrize("values", [[], [float("nan"), None], [float("inf")]])
def test_numeric_bins__without_a_number__refused(values: list[Any]) -> None:
    with pytest.raises(ValueError, match="at least one number"):
        numeric_bins(values)


def test_category_bins__rare_and_new__share_a_cell_each() -> None:
    bins = category_bins(["a"] * 6 + ["b"] * 5 + ["c"] * 4 + [None], most=2)
    assert bins.frequent == ("a", "b")
    profile = Profile.of(Layout.of({"x": bins}), {"x": ["a", "c", "d", "e", None]})
    assert profile.counts.tolist() == [[1, 0, 1, 2]]
    assert (profile.missing[0], profile.outside[0], profile.rows[0]) == (1, 2, 4)


def test_boolean__array_or_list__counted_alike() -> None:
    layout = Layout.of({"x": BOOLEAN})
    one = Profile.of(layout, {"x": np.array([True, False, True])})
    assert one.counts.tolist() == Profile.of(layout, {"x": [1, 0, 1]}).counts.tolist()
    assert one.counts.tolist() == [[1, 2, 0, 0][: layout.shape[1]]]


def test_text_lengths__with_gaps__are_numbers() -> None:
    assert text_lengths(["", "four", None]) == pytest.approx([0, 4, np.nan], nan_ok=True)


def test_profile__infinities__in_outer_bins_but_in_no_moment() -> None:
    layout = Layout.of({"x": numeric_bins([0.0, 1.0, 2.0, 3.0], 2)})
    found = Profile.of(layout, {"x": [np.inf, -np.inf, 1.0, 5.0, np.nan]})
    assert found.counts.tolist() == [[2, 2]]
    assert (found.missing[0], found.outside[0], found.numbers[0]) == (1, 3, 2)
    assert (found.means[0], found.variances[0]) == pytest.approx((3.0, 8.0))


@given(st.lists(NUMBERS | GOING, max_size=80))
def test_profile__any_numbers__moments_are_numpys(values: list[float | None]) -> None:
    layout = Layout.of({"x": numeric_bins([0.0, 1.0, 10.0])})
    found = Profile.of(layout, {"x": values})
    numbers = np.array(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    assert found.rows[0] + found.missing[0] == len(values)
    assert found.numbers[0] == finite.size
    if finite.size > 1:
        assert found.means[0] == pytest.approx(finite.mean(), abs=1e-6)
        assert found.variances[0] == pytest.approx(finite.var(ddof=1), rel=1e-6, abs=1e-6)


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_profile__of_parts__adds_up_to_that_of_the_whole(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    layout, columns = mixed_layout(np.random.default_rng(5)), mixed(rng, 300)
    places = [0, *sorted(cuts), 300]
    parts: list[dict[str, Column]] = [
        {name: column[start:end] for name, column in columns.items()}
        for start, end in pairwise(places)
    ]
    whole = Profile.of(layout, columns)
    found = merged(layout, [Profile.of(layout, part) for part in parts])
    for name in ("counts", "missing", "outside", "numbers"):
        assert (getattr(found, name) == getattr(whole, name)).all()
    for name in ("sums", "squares"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=1e-6)


def test_profile__more_rows_than_a_chunk__equal_numpys_histogram() -> None:
    values = np.random.default_rng(3).standard_normal(40_000)
    bins = numeric_bins(values[:5_000], 12)
    expected, _ = np.histogram(values, [-np.inf, *bins.edges, np.inf])
    assert Profile.of(Layout.of({"x": bins}), {"x": values}).counts[0].tolist() == expected.tolist()


def test_profile__of_other_bins__is_not_added() -> None:
    one = Profile.empty(Layout.of({"x": numeric_bins([1.0, 2.0])}))
    with pytest.raises(ValueError, match="different bins"):
        one + Profile.empty(Layout.of({"x": numeric_bins([1.0, 3.0])}))
