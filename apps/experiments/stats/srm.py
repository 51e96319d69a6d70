"""Sample ratio mismatch: did the arms get the units that the split promised?

A unit counts in its first phase only; summing over phases counts returning units again and again,
and ramps would be alarms. Arms of a phase that have no weight are checked apart: any unit there
leaked, and no test is needed.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import special, stats

from apps.experiments.stats.computable import NotComputable

ALARM = 0.001
MINIMUM_EXPECTED = 5.0
# Units of prior belief in the expected split. Mismatches that matter are of a few per cent, and a
# flat prior spends its evidence on splits that no fault produces.
CONCENTRATION = 10_000.0


@dataclass(frozen=True, slots=True)
class Phase:
    """Units by arm whose first exposure was in this phase, and the split it promised.

    `weights` >= 0 in any unit; both have one entry per arm. Phases of the same weights add up.
    """

    weights: tuple[float, ...]
    units: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.units):
            raise ValueError("weights and units must have an entry per arm")
        if min(self.weights) < 0 or sum(self.weights) <= 0 or min(self.units) < 0:
            raise ValueError("weights and units must not be negative, nor all weights 0")

    def __add__(self, other: "Phase") -> "Phase":
        if self.weights != other.weights:
            raise ValueError("only counts of the same split add up")
        units = tuple(a + b for a, b in zip(self.units, other.units, strict=True))
        return Phase(self.weights, units)

    @property
    def leaked(self) -> int:
        """Units in arms without weight."""
        return sum(n for n, weight in zip(self.units, self.weights, strict=True) if not weight)

    def promised(self) -> tuple[list[float], list[int]]:
        """Shares (summing to 1) and units of the arms that have weight."""
        pairs = [(w, n) for w, n in zip(self.weights, self.units, strict=True) if w > 0]
        total = sum(weight for weight, _ in pairs)
        return [weight / total for weight, _ in pairs], [n for _, n in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """What the chi-square over phases found; `phases_left_out` had too few units to count."""

    statistic: float
    degrees: int
    p_value: float
    phases_left_out: int

    @property
    def alarm(self) -> bool:
        """Whether p is below 0.001."""
        return self.p_value < ALARM


def check_split(phases: Sequence[Phase]) -> Mismatch | NotComputable:
    """Pearson's chi-square of each phase, joined by adding statistics and degrees of freedom.

    For one look. Phases that expect fewer than 5 units in an arm are left out.
    """
    found = [one for one in map(_chi_square, phases) if one is not None]
    if not found:
        return NotComputable("too few units: fewer than 5 expected in an arm")
    statistic, degrees = sum(one[0] for one in found), sum(one[1] for one in found)
    return Mismatch(
        statistic=statistic,
        degrees=degrees,
        p_value=float(stats.chi2.sf(statistic, degrees)),
        phases_left_out=len(phases) - len(found),
    )


def _chi_square(phase: Phase) -> tuple[float, int] | None:
    shares, units = phase.promised()
    expected = [share * sum(units) for share in shares]
    if len(shares) < 2 or min(expected) < MINIMUM_EXPECTED:
        return None
    statistic = sum((n - e) ** 2 / e for n, e in zip(units, expected, strict=True))
    return statistic, len(shares) - 1


def leaked_units(phases: Iterable[Phase]) -> int:
    """Units that were seen in arms whose weight was 0: every one is a fault."""
    return sum(phase.leaked for phase in phases)


def log_e_value(phases: Iterable[Phase], concentration: float = CONCENTRATION) -> float:
    """Logarithm of the Dirichlet-multinomial e-value, which may be watched all the time.

    Per phase the Bayes factor of Dirichlet(k theta_0) against theta_0 (Lindon, Malek 2020):
    Gamma(k) / Gamma(k + n) prod Gamma(k t_i + n_i) / Gamma(k t_i) / t_i^n_i; phases multiply, as
    each is a test martingale that begins at 1. Above ln(1 / alpha) is an alarm at level alpha,
    once over the whole experiment; a caller that acts latches it.
    """
    if concentration <= 0:
        raise ValueError("concentration must be positive")
    return sum(_log_bayes_factor(phase, concentration) for phase in phases)


def _log_bayes_factor(phase: Phase, k: float) -> float:
    shares, units = phase.promised()
    total = special.gammaln(k) - special.gammaln(k + sum(units))
    for share, n in zip(shares, units, strict=True):
        total += special.gammaln(k * share + n) - special.gammaln(k * share) - n * math.log(share)
    return float(total)
