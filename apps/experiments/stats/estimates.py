"""One arm's metric as a value with its sampling variance, whatever kind it is."""

import math
from dataclasses import dataclass, replace

from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.moments import Moments, Proportion

# Below this the normal approximation of a ratio is not to be trusted.
MINIMUM_UNITS = 30
# How many standard errors a denominator must lie from zero for the delta method.
AWAY_FROM_ZERO = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure of one arm.

    `variance` is that of `value` itself (the standard error squared), not of the units; `degrees`
    are its degrees of freedom, infinite where a normal approximation is meant.
    """

    value: float
    variance: float
    units: int
    degrees: float = math.inf

    @property
    def standard_error(self) -> float:
        """Square root of `variance`."""
        return math.sqrt(self.variance)

    def times(self, factor: float) -> "Estimate":
        """The estimate of `factor` times what this one estimates."""
        return replace(self, value=self.value * factor, variance=self.variance * factor**2)


def estimate_proportion(counts: Proportion) -> Estimate | NotComputable:
    """Share p of units with its unpooled variance p (1 - p) / n."""
    if not counts.units:
        return NotComputable("an arm has no units yet")
    share = counts.share
    variance = share * (1 - share) / counts.units
    return Estimate(value=share, variance=variance, units=counts.units)


def estimate_mean(moments: Moments) -> Estimate | NotComputable:
    """Mean of the first value (an amount or a count per unit), variance v / n, n - 1 degrees."""
    if moments.units < 2:
        return NotComputable("an arm has fewer than two units")
    variance = moments.variance / moments.units
    degrees = moments.units - 1
    return Estimate(value=moments.mean, variance=variance, units=moments.units, degrees=degrees)


def estimate_ratio(moments: Moments) -> Estimate | NotComputable:
    """Ratio R of the sums of the first value (numerator) and the second (denominator).

    Var(R) = (v_N - 2 R cov(N, D) + R^2 v_D) / (n mean(D)^2), the delta method over units, so that
    a unit's events need not be independent (Deng, Knoblich, Lu 2018).
    """
    if moments.units < MINIMUM_UNITS:
        return NotComputable(f"an arm has fewer than {MINIMUM_UNITS} units")
    numerator, denominator = moments.means[:2]
    error = math.sqrt(moments.covariance(1, 1) / moments.units)
    if denominator == 0 or abs(denominator) < AWAY_FROM_ZERO * error:
        return NotComputable("the ratio's denominator is too close to zero")
    ratio = numerator / denominator
    variance = linearised(moments).variance / moments.units
    return Estimate(value=ratio, variance=variance, units=moments.units)


def linearised(moments: Moments) -> Moments:
    """(N - R D) / mean(D) per unit: mean 0, and its variance over n is the ratio's."""
    numerator, denominator = moments.means[:2]
    rest = (0.0,) * (len(moments.means) - 2)
    return moments.mapped((1 / denominator, -numerator / denominator**2, *rest))
