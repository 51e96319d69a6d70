"""The confidence sequence: its formula, its p-value, and where it is sharpest."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.experiments.stats.comparison import Alternative, Comparison, Direction, Hypothesis
from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.estimates import Estimate
from apps.experiments.stats.sequential import (
    compare_sequentially,
    running_minimum,
    sequence_width,
)

TWO, ONE = Hypothesis(), Hypothesis(alternative=Alternative.BETTER)


def arm(value: float, units: int = 500, deviation: float = 1.0) -> Estimate:
    return Estimate(value=value, variance=deviation**2 / units, units=units)


def look(difference: float, hypothesis: Hypothesis = TWO, units: int = 500) -> Comparison:
    found = compare_sequentially(
        arm(5, units), arm(5 + difference, units), hypothesis, sharpest_at=1000
    )
    assert isinstance(found, Comparison)
    return found


def test_interval__at_any_look__has_the_published_width() -> None:
    alpha, total, best = 0.05, 1000, 1000
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / best
    deviation = math.sqrt((1 / 500 + 1 / 500) * total)
    inner = (
        2 * (total * rho2 + 1) / (total**2 * rho2) * math.log(math.sqrt(total * rho2 + 1) / alpha)
    )
    found = look(0.1)
    assert found.high - found.difference == pytest.approx(deviation * math.sqrt(inner))


@pytest.mark.parametrize("hypothesis", [TWO, ONE])
def test_width__at_the_planned_units__is_the_least_of_all_tunings(hypothesis: Hypothesis) -> None:
    planned = sequence_width(1000, hypothesis, sharpest_at=1000)
    others = [sequence_width(1000, hypothesis, sharpest_at=n) for n in range(200, 5000, 100)]
    assert planned <= min(others) * 1.01


@pytest.mark.parametrize("units", [60, 1_000, 100_000, 10_000_000])
def test_width__at_any_number__is_wider_than_a_fixed_interval(units: int) -> None:
    assert sequence_width(units, TWO, sharpest_at=1000) > 1.96
    assert sequence_width(units, ONE, sharpest_at=1000) > 1.645


@given(st.floats(0.01, 0.5), st.integers(100, 5000))
def test_p_value__at_its_own_alpha__puts_the_bound_on_zero(difference: float, units: int) -> None:
    for hypothesis in (TWO, ONE):
        found = look(difference, hypothesis, units)
        shows = found.low > 0
        assert shows == (found.p_value < hypothesis.alpha)


def test_p_value__against_the_direction__is_one() -> None:
    lower = Hypothesis(alternative=Alternative.BETTER, direction=Direction.LOWER)
    assert look(0.4, lower).p_value == 1.0
    assert look(-0.4, lower).p_value < 0.05


def test_comparison__of_few_or_equal_units__is_not_computable() -> None:
    few = compare_sequentially(arm(1, 20), arm(1, 200), sharpest_at=1000)
    equal = compare_sequentially(arm(1), arm(1, deviation=0), sharpest_at=1000)
    assert isinstance(few, NotComputable)
    assert isinstance(equal, NotComputable)


def test_running_minimum__after_a_find__keeps_it() -> None:
    gap = NotComputable("no units yet")
    assert list(running_minimum([gap, 0.3, 0.01, gap, 0.5])) == [gap, 0.3, 0.01, 0.01, 0.01]
