"""Quantiles within 1 %, and parts that add up to the whole."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.sketches import ACCURACY, FLOOR, Sketch, bin_of, value_of

values_ = st.lists(st.floats(FLOOR * 1.01, 1e6), min_size=1, max_size=200)


@given(value=st.floats(FLOOR * 1.0001, 1e9))
def test_bin__any_value__stands_within_one_percent(value: float) -> None:
    assert abs(value_of(bin_of(value)) - value) <= value * ACCURACY * (1 + 1e-9)


@settings(deadline=None)
@given(values=values_, q=st.floats(0, 1))
def test_quantile__any_values__within_one_percent_of_the_ranked_value(
    values: list[float], q: float
) -> None:
    found = Sketch.of(values).quantile(q)
    exact = sorted(values)[math.floor(q * (len(values) - 1))]
    assert found is not None
    assert abs(found - exact) <= exact * ACCURACY * (1 + 1e-9)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
def test_quantile__log_normal_latencies__within_one_percent_of_numpy(q: float) -> None:
    rng = random.Random(7)
    values = [rng.lognormvariate(2, 0.8) for _ in range(5_000)]
    exact = float(np.quantile(values, q, method="lower"))
    assert Sketch.of(values).quantile(q) == pytest.approx(exact, rel=ACCURACY)


@given(parts=st.lists(values_, max_size=5))
def test_merge__of_parts__is_the_sketch_of_all(parts: list[list[float]]) -> None:
    merged = Sketch()
    for part in parts:
        merged.merge(Sketch.of(part))
    assert merged == Sketch.of([value for part in parts for value in part])


@given(one=values_, other=values_)
def test_merge__either_way__equal(one: list[float], other: list[float]) -> None:
    left, right = Sketch.of(one), Sketch.of(other)
    left.merge(Sketch.of(other))
    right.merge(Sketch.of(one))
    assert left == right


def test_sketch__from_json_keys__equal() -> None:
    sketch = Sketch.of([1.0, 2.0, 2.0])
    text = {str(index): count for index, count in sketch.bins.items()}
    assert Sketch.from_bins(text) == sketch


def test_sketch__add_with_count__counts() -> None:
    sketch = Sketch()
    sketch.add(5.0, 3)
    assert sketch.count == 3
    assert sketch.quantile(1.0) == pytest.approx(5.0, rel=ACCURACY)


def test_quantile__empty__none() -> None:
    assert Sketch().quantile(0.5) is None


@pytest.mark.parametrize("value", [0.0, 1e-9, FLOOR])
def test_bin__up_to_the_floor__one_bin(value: float) -> None:
    assert bin_of(value) == bin_of(0.0)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_quantile__outside_0_1__refused(q: float) -> None:
    with pytest.raises(ValueError, match="q must"):
        Sketch.of([1.0]).quantile(q)
