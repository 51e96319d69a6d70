"""Intervals against published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from apps.monitoring.performance import Accuracy, Interval, wilson


# Newcombe 1998, table I: Wilson's score interval without continuity correction.
@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson__published_cases__agree(
    successes: int, total: int, low: float, high: float
) -> None:
    found = wilson(successes, total)
    assert found is not None
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


@given(total=st.integers(1, 5_000), data=st.data())
def test_wilson__any_counts__equal_scipys(total: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, total))
    expected = binomtest(successes, total).proportion_ci(method="wilson")
    found = wilson(successes, total)
    assert found is not None
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_accuracy__without_labels__says_nothing() -> None:
    nothing = Accuracy(sampled=10)
    assert (nothing.share, nothing.interval(), nothing.matured_share) == (None, None, 0.0)
    assert Accuracy().matured_share is None


def test_accuracy__of_two_phases__adds() -> None:
    both = Accuracy(correct=1, total=2, sampled=3) + Accuracy(correct=1, total=1, sampled=1)
    assert both == Accuracy(correct=2, total=3, sampled=4)
    assert isinstance(both.interval(), Interval)
