"""Scores against scipy and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from apps.monitoring.drift import scores
from serving.arrays import Counts

COUNTS = st.lists(st.integers(0, 500), min_size=5, max_size=5).filter(any)
SYMMETRIC = (
    scores.psi,
    scores.jensen_shannon,
    scores.hellinger,
    scores.chi_square,
    scores.kolmogorov_smirnov,
    scores.l_infinity,
)
ONES = np.ones((1, 4))


def row(*counts: int) -> Counts:
    return np.array([counts], dtype=np.int64)


def test_psi__scorecard_of_three_bands__as_worked_by_hand() -> None:
    # .5 to .4, .3 to .3, .2 to .3: .1 ln(5/4) + .1 ln(3/2).
    found = scores.psi(row(50, 30, 20), row(40, 30, 30))
    assert found[0] == pytest.approx(0.1 * math.log(1.25) + 0.1 * math.log(1.5))
    assert found[0] == pytest.approx(0.0628609, abs=1e-7)


def test_psi__cell_empty_on_one_side__half_a_row_everywhere() -> None:
    # (10.5, .5) of 11 against (5.5, 5.5) of 11; the third cell holds nothing and is none.
    found = scores.psi(row(10, 0, 0), row(5, 5, 0))
    assert found[0] == pytest.approx((5 / 11) * math.log(10.5 / 5.5 * 5.5 / 0.5))


def test_scores__two_even_cells_against_one__as_worked_by_hand() -> None:
    one, two = row(50, 50), row(100, 0)
    assert scores.hellinger(one, two)[0] == pytest.approx(math.sqrt(1 - math.sqrt(0.5)))
    assert scores.l_infinity(one, two)[0] == 0.5
    assert scores.kolmogorov_smirnov(one, two)[0] == 0.5
    assert scores.wasserstein(one, two, np.array([[3.0]]))[0] == pytest.approx(1.5)
    # ln 2 times (bits of the mixture's entropy .811278 less half a bit).
    assert scores.jensen_shannon(one, two)[0] == pytest.approx(0.3112781 * math.log(2), abs=1e-7)
    assert scores.jensen_shannon(row(9, 0), row(0, 7))[0] == pytest.approx(math.log(2))


@given(COUNTS, COUNTS)
def test_scores__any_counts__are_scipys(left: list[int], right: list[int]) -> None:
    one, two = np.array([left]), np.array([right])
    p, q = one[0] / one.sum(), two[0] / two.sum()
    places = np.arange(5)
    assert scores.jensen_shannon(one, two)[0] == pytest.approx(
        np.nan_to_num(jensenshannon(p, q)) ** 2, abs=1e-9
    )
    assert scores.wasserstein(one, two, ONES)[0] == pytest.approx(
        stats.wasserstein_distance(places, places, left, right), abs=1e-9
    )
    table = np.array([left, right])[:, (one + two)[0] > 0]
    if table.shape[1] > 1:
        expected = stats.chi2_contingency(table, correction=False).statistic
        assert scores.chi_square(one, two)[0] == pytest.approx(expected)


@given(st.lists(st.integers(1, 500), min_size=5, max_size=5), st.data())
def test_psi__no_empty_cell__is_both_entropies(left: list[int], data: st.DataObject) -> None:
    right = data.draw(st.lists(st.integers(1, 500), min_size=5, max_size=5))
    expected = stats.entropy(left, right) + stats.entropy(right, left)
    found = scores.psi(np.array([left]), np.array([right]))
    assert found[0] == pytest.approx(expected, abs=1e-12)


@given(COUNTS, COUNTS, st.sampled_from(SYMMETRIC))
def test_scores__sides_exchanged__same_and_not_negative(
    left: list[int], right: list[int], score: object
) -> None:
    assert callable(score)
    one, two = np.array([left]), np.array([right])
    assert score(one, two)[0] == pytest.approx(score(two, one)[0], abs=1e-12)
    assert score(one, two)[0] >= 0


@given(COUNTS, st.integers(1, 9))
def test_scores__equal_shares__zero(counts: list[int], times: int) -> None:
    one = np.array([counts])
    for score in SYMMETRIC:
        assert score(one, one * times)[0] == pytest.approx(0.0, abs=1e-7)
    assert scores.wasserstein(one, one * times, ONES)[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("score", SYMMETRIC)
def test_scores__no_rows__nan_and_never_zero(score: object) -> None:
    assert callable(score)
    assert np.isnan(score(row(1, 2), row(0, 0))).all()
    assert np.isnan(score(row(0, 0), row(1, 2))).all()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.data())
def test_kolmogorov_smirnov__on_bins__never_above_that_of_samples(
    left: list[int], data: st.DataObject
) -> None:
    right = data.draw(st.lists(st.integers(0, 20), min_size=1, max_size=40))
    edges = [0, 5, 9, 14, 21]
    binned = (np.histogram(side, edges)[0][None] for side in (left, right))
    points = np.arange(21)
    one, two = (
        np.searchsorted(sorted(side), points, "right") / len(side) for side in (left, right)
    )
    assert scores.kolmogorov_smirnov(*binned)[0] <= np.abs(one - two).max() + 1e-12
