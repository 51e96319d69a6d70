"""Quantiles of clustered events from counts that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.quantiles import (
    ClusteredCounts,
    Quantile,
    logarithmic_edges,
    quantile,
)

EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
EVENTS = st.lists(st.tuples(st.integers(0, 4), st.floats(0, 6)), max_size=20)


def computed(found: Quantile | NotComputable) -> Quantile:
    assert isinstance(found, Quantile), found
    return found


def counted(events: list[tuple[int, float]]) -> ClusteredCounts:
    return ClusteredCounts.of(
        np.array([unit for unit, _ in events], dtype=int), [value for _, value in events], EDGES
    )


@given(EVENTS)
def test_counts__of_raw_events__are_sums_over_units(events: list[tuple[int, float]]) -> None:
    found = counted(events)
    units = sorted({unit for unit, _ in events})
    sizes = [sum(u == unit for u, _ in events) for unit in units]
    assert (found.units, found.events) == (len(units), len(events))
    assert found.events_squared == sum(n * n for n in sizes)
    for place, edge in enumerate(EDGES):
        below = [sum(u == unit and v <= edge for u, v in events) for unit in units]
        assert found.below[place] == sum(below)
        assert found.below_squared[place] == sum(c * c for c in below)
        assert found.below_by_events[place] == sum(c * n for c, n in zip(below, sizes, strict=True))


@given(EVENTS)
def test_counts__of_disjoint_units__add_up_exactly(events: list[tuple[int, float]]) -> None:
    parts = [counted([one for one in events if one[0] % 3 == rest]) for rest in (2, 0, 1)]
    assert sum(parts, ClusteredCounts.empty(EDGES)) == counted(events)


def test_quantile__of_single_events__is_numpys_with_the_binomial_interval() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2, 30, 20_000)
    counts = ClusteredCounts.of(np.arange(20_000), values, logarithmic_edges(0.1, 1e4, 0.005))
    found = computed(quantile(counts, 0.9))
    half = 1.96 * np.sqrt(0.9 * 0.1 / 20_000)
    low, middle, high = np.quantile(values, [0.9 - half, 0.9, 0.9 + half])
    assert (found.low, found.value, found.high) == pytest.approx((low, middle, high), rel=5e-3)


def test_quantile__of_units_with_alike_events__has_a_wider_interval() -> None:
    rng = np.random.default_rng(1)
    edges = logarithmic_edges(0.1, 1e4)
    values = np.repeat(rng.gamma(2, 30, 2000), 10)
    alike = ClusteredCounts.of(np.repeat(np.arange(2000), 10), values, edges)
    apart = ClusteredCounts.of(np.arange(20_000), values, edges)
    wide, narrow = computed(quantile(alike, 0.5)), computed(quantile(apart, 0.5))
    assert wide.value == narrow.value
    ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.15)


@pytest.mark.parametrize("q", [0.999, 0.001])
def test_quantile__beyond_what_was_seen__is_not_computable(q: float) -> None:
    counts = ClusteredCounts.of(np.arange(100), np.linspace(0.5, 4.5, 100), EDGES)
    assert isinstance(quantile(counts, q), NotComputable)


def test_quantile__outside_the_edges__is_not_computable() -> None:
    counts = ClusteredCounts.of(np.arange(100), np.linspace(3, 9, 100), EDGES)
    assert isinstance(quantile(counts, 0.5), NotComputable)


def test_quantile__of_nobody__is_not_computable() -> None:
    assert isinstance(quantile(ClusteredCounts.empty(EDGES), 0.5), NotComputable)
