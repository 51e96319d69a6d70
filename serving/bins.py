"""The bins of a frozen reference: whatever comes later is counted in them and never moves them.

Numbers: bins between quantiles of the reference, half open as [edge, next edge), the outer ones
without an end. Treatment of the awkward cases:
- ties: a value that two quantiles share holds at least a bin's worth of rows; it gets a bin of
  its own, up to the reference's next value, instead of two edges at one place;
- empty bins: there is none, as every edge is one of the reference's values and the lowest of
  them is no edge; but of a constant reference there are three: below, the value, above;
- out of range: beyond the reference's extremes; counted in the outer bins and, once more, apart.

Categories: one cell for each frequent category, one for the rest of those known, one for new.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from serving.arrays import Floats

BINS = 10
MOST_CATEGORIES = 30
LEAST_ROWS = 5
# How near to the value of a constant reference another one counts as the same, relative.
ALMOST = 1e-9


@dataclass(frozen=True, kw_only=True)
class NumericBins:
    """`len(edges) + 1` bins; `places` has the mean of the reference's values in each of them.

    `low` and `high` are the reference's extremes, `centre` its mean: moments are summed around
    it, which keeps their differences exact.
    """

    edges: tuple[float, ...]
    places: tuple[float, ...]
    low: float
    high: float
    centre: float

    @property
    def cells(self) -> int:
        """How many bins there are."""
        return len(self.edges) + 1


@dataclass(frozen=True, kw_only=True)
class CategoryBins:
    """A cell for each of `frequent`, then one for all of `rest`, then one for new categories."""

    frequent: tuple[Hashable, ...]
    rest: frozenset[Hashable] = frozenset()

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.frequent) + 2

    @cached_property
    def positions(self) -> dict[Hashable, int]:
        """The cell of each known category."""
        found: dict[Hashable, int] = dict.fromkeys(self.rest, len(self.frequent))
        return found | {category: cell for cell, category in enumerate(self.frequent)}


Bins: TypeAlias = NumericBins | CategoryBins
BOOLEAN = CategoryBins(frequent=(False, True))


def numeric_bins(values: Sequence[Any] | Floats, bins: int = BINS) -> NumericBins:
    """At most `2 bins` bins by `bins`-quantiles of a reference `[rows]`; NaN and None are left out.

    Raises ValueError for a reference without a finite number, or for fewer than 2 bins.
    """
    numbers = np.asarray(values, dtype=np.float64)
    numbers = np.sort(numbers[np.isfinite(numbers)])
    if not numbers.size or bins < 2:
        raise ValueError("bins need a reference with at least one number, and two bins")
    edges = _edges(numbers, bins)
    return NumericBins(
        edges=tuple(edges.tolist()),
        places=tuple(_places(numbers, edges).tolist()),
        low=float(numbers[0]),
        high=float(numbers[-1]),
        centre=float(numbers.mean()),
    )


def _edges(numbers: Floats, bins: int) -> Floats:
    """Edges among sorted `numbers`; see the module for ties and empty bins."""
    if numbers[0] == numbers[-1]:
        value = float(numbers[0])
        return np.array([value, value + ALMOST * max(1.0, abs(value))])
    # The first value of each of `bins` equal parts, and the last value of all.
    cuts = numbers[np.minimum(np.arange(bins + 1) * numbers.size // bins, numbers.size - 1)]
    tied = cuts[1:][cuts[1:] == cuts[:-1]]
    after = np.searchsorted(numbers, tied, side="right")
    edges = np.unique(np.concatenate([cuts[1:-1], tied, numbers[after[after < numbers.size]]]))
    return np.asarray(edges[edges > numbers[0]], dtype=np.float64)


def _places(numbers: Floats, edges: Floats) -> Floats:
    """The mean of sorted `numbers` in each bin; of an empty bin, its edge."""
    cells = np.searchsorted(edges, numbers, side="right")
    lowest = np.concatenate([[min(numbers[0], edges[0])], edges])
    sums = np.bincount(cells, numbers - lowest[cells], minlength=len(lowest))
    counts = np.bincount(cells, minlength=len(lowest))
    means = np.divide(sums, counts, out=np.zeros(len(lowest)), where=counts > 0)
    return np.asarray(lowest + means, dtype=np.float64)


def category_bins(
    values: Iterable[Any], most: int = MOST_CATEGORIES, least: int = LEAST_ROWS
) -> CategoryBins:
    """A cell for each of the `most` commonest categories with at least `least` rows.

    Rare ones share a cell: with fewer rows each, no score would follow its distribution. Every
    category is remembered, so this is for tens of thousands of them at most.
    """
    counted = Counter(value for value in values if value is not None and value == value)
    if not counted:
        raise ValueError("bins need a reference with at least one category")
    order = sorted(counted, key=lambda one: (-counted[one], str(one)))
    frequent = tuple(one for one in order[:most] if counted[one] >= least)
    return CategoryBins(frequent=frequent, rest=frozenset(counted) - set(frequent))


def text_lengths(values: Iterable[str | None]) -> Floats:
    """Texts as a numeric feature: characters in each, NaN where there is none."""
    return np.array([np.nan if text is None else len(text) for text in values], dtype=np.float64)
