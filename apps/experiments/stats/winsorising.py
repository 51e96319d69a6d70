"""Limits for amounts that a few units dominate, such as revenue.

The limits are the same for every arm, and best known before the start: an arm that had its own
would be cut where it differs. What is then compared is the mean of the limited amounts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apps.experiments.stats.computable import NotComputable


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Amounts outside [low, high] count as the nearer limit."""

    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError("the low limit must lie below the high one")

    def apply(self, values: ArrayLike) -> NDArray[np.float64]:
        """The amounts within the limits, in the same order and shape."""
        amounts: NDArray[np.float64] = np.asarray(values, dtype=float)
        return amounts.clip(self.low, self.high)

    def touched(self, values: ArrayLike) -> int:
        """How many amounts lie outside, which belongs beside the result."""
        amounts = np.asarray(values, dtype=float)
        return int(((amounts < self.low) | (amounts > self.high)).sum())


def limits_of(
    values: ArrayLike, *, low: float = 0.0, high: float = 0.99, of_nonzero: bool = False
) -> Limits | NotComputable:
    """Limits at the `low` and `high` quantiles (0..1) of all arms' amounts together.

    `low` of 0 leaves small amounts alone. `of_nonzero` takes the quantiles over units that paid:
    where nearly nobody pays, the 99th percentile of everybody is 0.
    """
    if not 0 <= low < high <= 1:
        raise ValueError("quantiles must satisfy 0 <= low < high <= 1")
    amounts = np.asarray(values, dtype=float)
    amounts = amounts[amounts != 0] if of_nonzero else amounts
    if not amounts.size:
        return NotComputable("there are no amounts to take limits from")
    below, above = np.quantile(amounts, [low, high])
    if not below < above:
        return NotComputable("the limits coincide: nearly all amounts are the same")
    return Limits(low=float(below) if low > 0 else -np.inf, high=float(above))
