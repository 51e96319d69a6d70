"""Statistics of parts are the statistics of the whole, in whatever order they are joined."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.experiments.stats.moments import Moments, Proportion

PAIRS = st.lists(
    st.tuples(st.floats(-1e6, 1e6, width=32), st.floats(-1e3, 1e3, width=32)), max_size=12
)


def moments(rows: list[tuple[float, float]]) -> Moments:
    return Moments.of([row[0] for row in rows], [row[1] for row in rows])


def same(one: Moments, other: Moments) -> None:
    assert one.units == other.units
    assert np.allclose(one.means, other.means, rtol=1e-9, atol=1e-6)
    assert np.allclose(one.products, other.products, rtol=1e-9, atol=1e-3)


@given(st.lists(PAIRS, min_size=1, max_size=4))
def test_moments__of_parts_in_any_order__are_those_of_all(
    parts: list[list[tuple[float, float]]],
) -> None:
    whole = moments(list(itertools.chain(*parts)))
    same(sum(map(moments, parts), Moments.empty(2)), whole)
    same(sum(map(moments, reversed(parts)), Moments.empty(2)), whole)


@given(PAIRS, PAIRS, PAIRS)
def test_moments__joined_left_or_right_first__are_the_same(
    a: list[tuple[float, float]], b: list[tuple[float, float]], c: list[tuple[float, float]]
) -> None:
    first, second, third = moments(a), moments(b), moments(c)
    same((first + second) + third, first + (second + third))


@given(PAIRS.filter(lambda rows: len(rows) > 1), st.floats(-3, 3), st.floats(-3, 3))
def test_moments__mapped__are_those_of_the_combined_values(
    rows: list[tuple[float, float]], p: float, q: float
) -> None:
    combined = Moments.of([p * x + q * y for x, y in rows])
    mapped = moments(rows).mapped((p, q))
    scale = max(abs(x) + abs(y) for x, y in rows) * 6 + 1
    assert math.isclose(mapped.mean, combined.mean, rel_tol=1e-9, abs_tol=1e-9 * scale)
    assert abs(mapped.products[0][0] - combined.products[0][0]) <= 1e-9 * len(rows) * scale**2


def test_moments__far_from_zero__keep_their_digits() -> None:
    values = 1e9 + np.arange(10.0)
    whole = sum((Moments.of([value]) for value in values), Moments.empty())
    assert whole.variance == pytest.approx(np.var(np.arange(10.0), ddof=1), rel=1e-6)


def test_moments__from_sums__are_those_of_the_values() -> None:
    x, y = np.arange(8.0), np.arange(8.0) ** 2
    rows = np.stack([x, y])
    same(Moments.from_sums(8, rows.sum(axis=1), rows @ rows.T), Moments.of(x, y))


def test_moments__of_what_is_not_a_number__are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Moments.of([1.0, math.nan])


def test_moments__of_other_values__do_not_add_up() -> None:
    with pytest.raises(ValueError, match="same values"):
        Moments.of([1.0]) + Moments.of([1.0], [2.0])


def test_proportion__added__counts_all() -> None:
    assert Proportion(10, 3) + Proportion(5, 5) == Proportion(15, 8)


@pytest.mark.parametrize(("units", "successes"), [(3, 4), (3, -1)])
def test_proportion__impossible__is_refused(units: int, successes: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        Proportion(units, successes)
