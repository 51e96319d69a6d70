"""Sufficient statistics of units: counts, means and centred second moments, merged by `+`.

A unit has a row of values: one for a mean, numerator and denominator for a ratio, outcome and past
for CUPED. Second moments are kept about the mean and merged by Chan, Golub and LeVeque (1983):
sums of squares would lose all digits where the mean is large beside the deviation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Proportion:
    """Units of which each did something or did not."""

    units: int = 0
    successes: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.units:
            raise ValueError("successes must lie between 0 and the number of units")

    def __add__(self, other: "Proportion") -> "Proportion":
        return Proportion(self.units + other.units, self.successes + other.successes)

    @property
    def share(self) -> float:
        """Successes per unit. Raises ZeroDivisionError without units."""
        return self.successes / self.units


@dataclass(frozen=True, slots=True)
class Moments:
    """Means and sums of products of deviations from them, over `units` rows of k values.

    `means` has k entries; `products[i][j]` is the sum over units of (x_i - mean_i)(x_j - mean_j).
    """

    units: int
    means: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]

    @classmethod
    def empty(cls, width: int = 1) -> "Moments":
        """No units yet, with `width` values each: the zero of `+`."""
        return cls(0, (0.0,) * width, ((0.0,) * width,) * width)

    @classmethod
    def of(cls, *columns: ArrayLike) -> "Moments":
        """From raw values, one column (n,) per kind of value; n may be 0.

        Raises ValueError for columns of unequal length and for values that are not finite.
        """
        rows = np.column_stack([np.asarray(column, dtype=float) for column in columns])
        if not np.isfinite(rows).all():
            raise ValueError("values must be finite")
        if not len(rows):
            return cls.empty(len(columns))
        means = rows.mean(axis=0)
        deviations = rows - means
        return _moments(len(rows), means, deviations.T @ deviations)

    @classmethod
    def from_sums(cls, units: int, sums: ArrayLike, products: ArrayLike) -> "Moments":
        """From sums (k,) of values and (k, k) of their products, as a database adds them up.

        Digits are lost where means are large beside deviations: prefer `of` and `+`.
        """
        if units <= 0:
            return cls.empty(np.size(sums))
        means = np.asarray(sums, dtype=float) / units
        centred = np.asarray(products, dtype=float) - units * np.outer(means, means)
        return _moments(units, means, centred)

    def __add__(self, other: "Moments") -> "Moments":
        if not self.units or not other.units:
            return other if other.units else self
        if len(self.means) != len(other.means):
            raise ValueError("only statistics of the same values add up")
        units = self.units + other.units
        apart = np.subtract(other.means, self.means)
        means = np.asarray(self.means) + apart * (other.units / units)
        between = np.outer(apart, apart) * (self.units * other.units / units)
        return _moments(units, means, np.add(self.products, other.products) + between)

    @property
    def mean(self) -> float:
        """Mean of the first value."""
        return self.means[0]

    @property
    def variance(self) -> float:
        """Unbiased variance of the first value; needs two units."""
        return self.covariance(0, 0)

    def covariance(self, first: int, second: int) -> float:
        """Unbiased covariance of two values; needs two units."""
        return self.products[first][second] / (self.units - 1)

    def mapped(self, *rows: Sequence[float]) -> "Moments":
        """Moments of linear combinations of the values, one per row of k coefficients."""
        matrix = np.asarray(rows, dtype=float)
        products = matrix @ np.asarray(self.products) @ matrix.T
        return _moments(self.units, matrix @ np.asarray(self.means), products)

    def beside(self, *constants: float) -> "Moments":
        """The same units with further values that are `constants` for all of them."""
        products = np.zeros((len(self.means) + len(constants),) * 2)
        products[: len(self.means), : len(self.means)] = self.products
        return _moments(self.units, np.array([*self.means, *constants]), products)


def _moments(units: int, means: "np.ndarray", products: "np.ndarray") -> Moments:
    # A variance below zero is rounding; it would become a NaN one square root later.
    np.fill_diagonal(products, np.maximum(np.diagonal(products), 0.0))
    return Moments(units, tuple(means.tolist()), tuple(map(tuple, products.tolist())))
