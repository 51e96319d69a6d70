"""CUPED: less variance by what was known of the units before they were exposed.

Y' = Y - theta (X - mean X), theta = cov(Y, X) / var(X) pooled over arms; variance falls by the
squared correlation (Deng, Xu, Kohavi, Walker 2013). X must be from before the first exposure: a
covariate that the treatment changes takes the effect away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from apps.experiments.stats.computable import NotComputable, first_reason
from apps.experiments.stats.estimates import Estimate, estimate_mean, estimate_ratio
from apps.experiments.stats.moments import Moments


@dataclass(frozen=True, slots=True)
class WithPast:
    """One arm's units: those with a past have (outcome, past) values, those without have outcomes.

    For a ratio these are (N, D, past N, past D), and (N, D).
    """

    known: Moments
    unknown: Moments = field(default_factory=Moments.empty)

    def __add__(self, other: "WithPast") -> "WithPast":
        return WithPast(self.known + other.known, self.unknown + other.unknown)

    @property
    def units(self) -> int:
        """All units of the arm."""
        return self.known.units + self.unknown.units


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """Adjusted estimates, one per arm in the order given.

    `theta` has the coefficient of the past and, where some units have none, that of having one;
    `variance_removed` is the share of the arms' pooled variance that the past explained.
    """

    estimates: tuple[Estimate, ...]
    theta: tuple[float, ...]
    variance_removed: float
    without_past: float


def adjust_means(arms: Sequence[WithPast]) -> Adjusted | NotComputable:
    """CUPED of means, counts and proportions.

    A unit without a past gets the mean past of all arms, and is flagged by a second covariate
    where both sorts exist: new units behave differently, and the flag takes that out, too.
    """
    plain = [estimate_mean(arm.known.mapped((1, 0)) + arm.unknown) for arm in arms]
    past = sum((arm.known.mapped((0, 1)) for arm in arms), Moments.empty())
    return _adjusted([_filled(arm, past.mean) for arm in arms], plain, arms)


def adjust_ratios(arms: Sequence[WithPast]) -> Adjusted | NotComputable:
    """CUPED of ratios of sums, outcome and past linearised about their ratios.

    A unit without a past has a linearised past of 0, its mean.
    """
    wholes = [arm.known.mapped((1, 0, 0, 0), (0, 1, 0, 0)) + arm.unknown for arm in arms]
    plain = [estimate_ratio(whole) for whole in wholes]
    past = sum((arm.known.mapped((0, 0, 1, 0), (0, 0, 0, 1)) for arm in arms), Moments.empty(2))
    if reason := first_reason(*plain):
        return reason
    if past.means[1] == 0:
        return NotComputable("the past's denominator is zero")
    earlier = past.means[0] / past.means[1]
    rows = []
    for arm, whole in zip(arms, wholes, strict=True):
        ratio, scale = whole.means[0] / whole.means[1], whole.means[1]
        outcome = (1 / scale, -ratio / scale)
        known = arm.known.mapped(
            (*outcome, 0, 0), (0, 0, 1 / past.means[1], -earlier / past.means[1])
        )
        unknown = arm.unknown.mapped(outcome) if arm.unknown.units else Moments.empty()
        rows.append(_filled(WithPast(known, unknown), 0.0))
    return _adjusted(rows, plain, arms)


def _filled(arm: WithPast, mean: float) -> Moments:
    """Moments of (outcome, past, whether there is none) over all units of an arm."""
    return arm.known.beside(0.0) + arm.unknown.beside(mean, 1.0)


def _adjusted(
    rows: Sequence[Moments], plain: Sequence[Estimate | NotComputable], arms: Sequence[WithPast]
) -> Adjusted | NotComputable:
    if reason := first_reason(*plain):
        return reason
    estimates = [one for one in plain if isinstance(one, Estimate)]
    within = np.sum([row.products for row in rows], axis=0)
    flagged = within[2, 2] > 0
    used = 3 if flagged else 2
    if not within[1, 1] > 0:
        return NotComputable("the past is the same for every unit, so it explains nothing")
    theta = np.linalg.lstsq(within[1:used, 1:used], within[1:used, 0], rcond=None)[0]
    whole = sum(rows, Moments.empty(3))
    residual = (1.0, *(-theta).tolist(), *((0.0,) * (3 - used)))
    without = sum(arm.unknown.units for arm in arms) / whole.units
    left = sum(row.mapped(residual).products[0][0] for row in rows)
    return Adjusted(
        estimates=tuple(
            _adjust(one, row, whole, residual, theta)
            for one, row in zip(estimates, rows, strict=True)
        ),
        theta=tuple(theta.tolist()),
        variance_removed=1 - left / within[0, 0] if within[0, 0] > 0 else 0.0,
        without_past=without,
    )


def _adjust(
    estimate: Estimate,
    row: Moments,
    whole: Moments,
    residual: tuple[float, ...],
    theta: "np.ndarray",
) -> Estimate:
    apart = np.subtract(row.means[1 : 1 + len(theta)], whole.means[1 : 1 + len(theta)])
    return Estimate(
        value=estimate.value - float(theta @ apart),
        variance=row.mapped(residual).variance / row.units,
        units=estimate.units,
        degrees=estimate.degrees,
    )
