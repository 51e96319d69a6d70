"""Profiles: what is kept of the rows of a window, one row of arrays a feature.

A profile is exact counts and sums, so profiles of parts add up to the profile of the whole, in
whatever order. Its cost in memory and in every later report is that of the bins.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from serving.arrays import Counts, Flags, Floats
from serving.bins import Bins, CategoryBins, NumericBins

# Rows counted at a time: they stay in the processor's cache while every edge passes over them,
# and are too few for BLAS to wait for a second thread.
CHUNK = 8_192
Column: TypeAlias = Sequence[Any] | npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """Which features a profile has, in which order, in which bins."""

    names: tuple[str, ...]
    bins: tuple[Bins, ...]

    @classmethod
    def of(cls, bins: Mapping[str, Bins]) -> Self:
        """The layout of features by name."""
        return cls(tuple(bins), tuple(bins.values()))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(features, cells of the widest); narrower features leave the cells on the right empty."""
        return len(self.bins), max((one.cells for one in self.bins), default=1)

    @cached_property
    def numeric(self) -> Flags:
        """Which features `[features]` are numbers."""
        return np.array([isinstance(one, NumericBins) for one in self.bins], dtype=np.bool_)

    @cached_property
    def centres(self) -> Floats:
        """Where the sums of moments `[features]` have their origin; NaN of categories."""
        found = [one.centre if isinstance(one, NumericBins) else np.nan for one in self.bins]
        return np.array(found, dtype=np.float64)

    @cached_property
    def gaps(self) -> Floats:
        """Distances between neighbouring bins' places `[features, cells - 1]`; 0 beyond."""
        found = np.zeros((self.shape[0], max(self.shape[1] - 1, 0)))
        for row, one in zip(found, self.bins, strict=True):
            if isinstance(one, NumericBins):
                row[: len(one.edges)] = np.diff(one.places)
        return found


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts and sums of some rows, in the bins of `layout`.

    `counts` is `[features, cells]`; all else is `[features]`. `missing` are None and NaN and in no
    cell; `outside` are numbers beyond the reference's extremes, or new categories, and in a cell
    as well. `numbers` counts the finite values, `sums` and `squares` add them and their squares,
    around `layout.centres`; 0 of categories.
    """

    layout: Layout
    counts: Counts
    missing: Counts
    outside: Counts
    numbers: Counts
    sums: Floats
    squares: Floats

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """The profile of no rows: adding it changes nothing."""
        none = np.zeros(layout.shape[0], dtype=np.int64)
        zero = np.zeros(layout.shape[0])
        cells = np.zeros(layout.shape, dtype=np.int64)
        return cls(layout, cells, none, none, none, zero, zero)

    @classmethod
    def of(cls, layout: Layout, columns: Mapping[str, Column]) -> Self:
        """Count raw `columns`, each `[rows]`; a feature without a column counts nothing.

        Numbers are arrays or lists with None or NaN where they are missing; categories likewise.
        """
        made = cls.empty(layout)
        numbers = made.numbers.copy(), made.sums.copy(), made.squares.copy()
        found = cls(layout, made.counts, made.missing.copy(), made.outside.copy(), *numbers)
        for row, (name, bins) in enumerate(zip(layout.names, layout.bins, strict=True)):
            if name not in columns:
                continue
            if isinstance(bins, NumericBins):
                _add_numbers(found, row, bins, columns[name])
            else:
                _add_categories(found, row, bins, columns[name])
        return found

    @cached_property
    def rows(self) -> Counts:
        """Rows `[features]` with a value."""
        return np.asarray(self.counts.sum(axis=-1), dtype=np.int64)

    @cached_property
    def means(self) -> Floats:
        """Means `[features]` of the finite values; NaN without one and of categories."""
        offsets = _ratio(self.sums, self.numbers)
        return np.asarray(self.layout.centres + offsets, dtype=np.float64)

    @cached_property
    def variances(self) -> Floats:
        """Unbiased variances `[features]`; NaN below two values and of categories."""
        around = self.squares - self.sums * _ratio(self.sums, self.numbers)
        found = _ratio(np.maximum(around, 0.0), self.numbers - 1)
        return np.where(self.layout.numeric, found, np.nan)

    def __add__(self, other: "Profile") -> "Profile":
        """Of both together. Raises ValueError if they were not counted in the same bins."""
        if self.layout is not other.layout and self.layout != other.layout:
            raise ValueError("profiles of different bins cannot be added")
        return Profile(
            self.layout,
            self.counts + other.counts,
            self.missing + other.missing,
            self.outside + other.outside,
            self.numbers + other.numbers,
            self.sums + other.sums,
            self.squares + other.squares,
        )


def merged(layout: Layout, parts: Iterable[Profile]) -> Profile:
    """The profile of all parts together."""
    return reduce(Profile.__add__, parts, Profile.empty(layout))


def _ratio(above: Floats | Counts, below: Floats | Counts) -> Floats:
    """above / below, NaN where below is not positive."""
    undefined = np.full(np.shape(above), np.nan)
    return np.divide(above, below, out=undefined, where=np.asarray(below) > 0)


def _add_numbers(found: Profile, row: int, bins: NumericBins, column: Column) -> None:
    for start in range(0, len(column), CHUNK):
        part = np.asarray(column[start : start + CHUNK], dtype=np.float64)
        _count_cells(found, row, bins, part)
        offsets = part - bins.centre
        with np.errstate(invalid="ignore"):  # both infinities in one column
            total = offsets.sum()
        if not np.isfinite(total):
            found.missing[row] += np.count_nonzero(np.isnan(part))
            offsets = offsets[np.isfinite(offsets)]
            total = offsets.sum()
        found.numbers[row] += offsets.size
        found.sums[row] += total
        found.squares[row] += offsets @ offsets


def _count_cells(found: Profile, row: int, bins: NumericBins, part: Floats) -> None:
    """One comparison an edge: for tens of bins it is faster than to search a bin for each row."""
    reached = [np.count_nonzero(part >= edge) for edge in (-np.inf, *bins.edges)]
    found.counts[row, : bins.cells] -= np.diff([*reached, 0])
    found.outside[row] += np.count_nonzero(part < bins.low) + np.count_nonzero(part > bins.high)


def _add_categories(found: Profile, row: int, bins: CategoryBins, column: Column) -> None:
    new = bins.cells - 1
    listed = column.tolist() if isinstance(column, np.ndarray) else column
    for category, count in Counter(listed).items():
        if category is None or category != category:
            found.missing[row] += count
            continue
        cell = bins.positions.get(category, new)
        found.counts[row, cell] += count
        found.outside[row] += count * (cell == new)
