"""Quantiles of events that come in clusters, one cluster per unit: latency, time on a page.

An interval that takes events for independent is too narrow, as one unit's events are alike. The
outer interval of Deng, Knoblich and Lu (2018, section 4) widens the interval of the *share* of
events below the quantile by the delta method over units, and reads its ends off the quantile
function. Everything it needs adds up over units on a fixed grid of edges.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from apps.experiments.stats.computable import NotComputable, require_share
from apps.experiments.stats.estimates import MINIMUM_UNITS, Estimate

Counts = NDArray[np.int64]


def logarithmic_edges(low: float, high: float, accuracy: float = 0.01) -> tuple[float, ...]:
    """Edges from `low` > 0 to at least `high`, each (1 + a) / (1 - a) times the one before.

    A quantile read between them is off by at most `accuracy`, relative.
    """
    require_share("accuracy", accuracy)
    if not 0 < low < high:
        raise ValueError("edges need 0 < low < high")
    step = math.log((1 + accuracy) / (1 - accuracy))
    steps = math.ceil(math.log(high / low) / step)
    return (0.0, *(low * math.exp(step * number) for number in range(steps + 1)))


@dataclass(frozen=True, slots=True)
class ClusteredCounts:
    """One arm's events, counted at each of the increasing `edges`.

    With N_i events of unit i, c_i(e) of them at most e: `events` = sum N_i, `events_squared` =
    sum N_i^2, and per edge `below` = sum c_i, `below_squared` = sum c_i^2, `below_by_events` =
    sum c_i N_i. All integers, so merging is exact in any order.
    """

    edges: tuple[float, ...]
    units: int
    events: int
    events_squared: int
    below: tuple[int, ...]
    below_squared: tuple[int, ...]
    below_by_events: tuple[int, ...]

    @classmethod
    def empty(cls, edges: tuple[float, ...]) -> "ClusteredCounts":
        """No events yet: the zero of `+`."""
        none = (0,) * len(edges)
        return cls(edges, 0, 0, 0, none, none, none)

    @classmethod
    def of(cls, units: ArrayLike, values: ArrayLike, edges: tuple[float, ...]) -> "ClusteredCounts":
        """From raw events: the unit (integer) and the value of each, (m,) both.

        A unit's events must all be in one call; counts of disjoint sets of units add up.
        """
        owners, amounts = np.asarray(units), np.asarray(values, dtype=float)
        order = np.lexsort((amounts, owners))
        _, starts, sizes = np.unique(owners[order], return_index=True, return_counts=True)
        rank = np.arange(len(order)) - np.repeat(starts, sizes)
        bins = np.searchsorted(edges, amounts[order])
        return cls(
            edges,
            len(sizes),
            len(order),
            int((sizes**2).sum()),
            _cumulative(bins, np.ones_like(rank), len(edges)),
            # c goes from r to r + 1 at a unit's event of rank r, so c^2 grows by 2 r + 1.
            _cumulative(bins, 2 * rank + 1, len(edges)),
            _cumulative(bins, np.repeat(sizes, sizes), len(edges)),
        )

    def __add__(self, other: "ClusteredCounts") -> "ClusteredCounts":
        if self.edges != other.edges:
            raise ValueError("only counts on the same edges add up")
        return ClusteredCounts(
            self.edges,
            self.units + other.units,
            self.events + other.events,
            self.events_squared + other.events_squared,
            _sum(self.below, other.below),
            _sum(self.below_squared, other.below_squared),
            _sum(self.below_by_events, other.below_by_events),
        )


def _cumulative(bins: Counts, weights: Counts, edges: int) -> tuple[int, ...]:
    # Floats of bincount are exact up to 2^53.
    counts = np.bincount(bins, weights=weights, minlength=edges + 1)[:edges]
    return tuple(counts.astype(np.int64).cumsum().tolist())


def _sum(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


@dataclass(frozen=True, kw_only=True)
class Quantile:
    """A quantile with its outer interval at the asked confidence."""

    value: float
    low: float
    high: float
    confidence: float
    units: int

    @cached_property
    def estimate(self) -> Estimate:
        """For comparing arms: a standard error of (high - low) / (2 z), as in the paper."""
        z = float(stats.norm.isf((1 - self.confidence) / 2))
        variance = ((self.high - self.low) / (2 * z)) ** 2
        return Estimate(value=self.value, variance=variance, units=self.units)


def quantile(
    counts: ClusteredCounts, q: float, *, confidence: float = 0.95
) -> Quantile | NotComputable:
    """The q-quantile (0 < q < 1) of all events, linear between edges.

    Assumes units independent and a density near the quantile; needs a few events beyond it.
    """
    require_share("q", q)
    require_share("confidence", confidence)
    if counts.units < MINIMUM_UNITS:
        return NotComputable(f"an arm has fewer than {MINIMUM_UNITS} units")
    shares = np.asarray(counts.below) / counts.events
    effect = _design_effect(counts, shares, q)
    half = float(stats.norm.isf((1 - confidence) / 2)) * math.sqrt(
        effect * q * (1 - q) / counts.events
    )
    if q - half <= shares[0] or q + half >= shares[-1]:
        return NotComputable("too few events beyond the quantile, or it lies outside the edges")
    value, low, high = (_inverse(counts.edges, shares, p) for p in (q, q - half, q + half))
    return Quantile(value=value, low=low, high=high, confidence=confidence, units=counts.units)


def _design_effect(counts: ClusteredCounts, shares: NDArray[np.float64], q: float) -> float:
    """How many times the variance of independent events the share below the q-quantile has.

    The share below an edge is a ratio of sums over units, sum c / sum N, and
    sum (c - F N)^2 = sum c^2 - 2 F sum c N + F^2 sum N^2, as c - F N has mean 0.
    """
    inside = (shares > 0) & (shares < 1)
    if not inside.any():
        return 1.0
    share = shares[inside]
    squares = (
        np.asarray(counts.below_squared, dtype=float)[inside]
        - 2 * share * np.asarray(counts.below_by_events, dtype=float)[inside]
        + share**2 * counts.events_squared
    )
    scale = counts.units / (counts.units - 1) / counts.events
    return float(np.interp(q, share, np.maximum(squares, 0.0) * scale / (share * (1 - share))))


def _inverse(edges: tuple[float, ...], shares: NDArray[np.float64], p: float) -> float:
    """The value below which a share `p` lies; edges at which nothing was seen are passed over."""
    above = int(np.searchsorted(shares, p))
    below = above - 1
    part = (p - shares[below]) / (shares[above] - shares[below])
    return float(edges[below] + part * (edges[above] - edges[below]))
