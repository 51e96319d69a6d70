"""Posteriors of two arms: chance to beat control, expected loss, credible interval.

The figures are conditional on the stated prior and say nothing of error rates under repeated
looks: deciding when a chance passes 95 % has no guarantee that 5 % of such decisions are wrong.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from apps.experiments.stats.comparison import Direction
from apps.experiments.stats.computable import NotComputable, require_share
from apps.experiments.stats.moments import Proportion

# Gauss-Legendre between these tails of each arm's posterior, so that an arm far narrower than the
# other is not stepped over.
_TAILS = (1e-16, 1e-6, 1e-2, 0.3)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaPrior:
    """Beta(a, b) for the share of every arm; Beta(1, 1) is uniform."""

    a: float = 1.0
    b: float = 1.0

    def __post_init__(self) -> None:
        if self.a <= 0 or self.b <= 0:
            raise ValueError("a and b must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalPrior:
    """Normal prior of a difference or a lift; a `deviation` of infinity is improper and flat."""

    mean: float = 0.0
    deviation: float = math.inf

    def __post_init__(self) -> None:
        if self.deviation <= 0:
            raise ValueError("deviation must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What is believed of treatment minus control.

    `loss_if_shipped` is what is lost on average by taking the treatment where the control is
    better, `loss_if_kept` the reverse; both in the metric's unit, never negative.
    """

    mean: float
    low: float
    high: float
    chance_to_beat: float
    loss_if_shipped: float
    loss_if_kept: float


def normal_posterior(
    difference: float,
    variance: float,
    *,
    prior: NormalPrior = NormalPrior(),
    credibility: float = 0.95,
    direction: Direction = Direction.HIGHER,
) -> Posterior | NotComputable:
    """Posterior of a difference (or lift) estimated with sampling `variance` under `prior`.

    Precisions add; with mean m and deviation s of the posterior the loss of shipping is
    s phi(m/s) - m Phi(-m/s), and that of keeping s phi(m/s) + m Phi(m/s).
    """
    require_share("credibility", credibility)
    if not variance > 0:
        return NotComputable("no unit differs from another, so chance cannot be judged")
    precision = 1 / variance + 1 / prior.deviation**2
    mean = (difference / variance + prior.mean / prior.deviation**2) / precision
    deviation = 1 / math.sqrt(precision)
    half = float(stats.norm.isf((1 - credibility) / 2)) * deviation
    benefit = direction.sign * mean
    return Posterior(
        mean=mean,
        low=mean - half,
        high=mean + half,
        chance_to_beat=float(stats.norm.cdf(benefit / deviation)),
        loss_if_shipped=_normal_shortfall(benefit, deviation),
        loss_if_kept=_normal_shortfall(-benefit, deviation),
    )


def _normal_shortfall(mean: float, deviation: float) -> float:
    """E[max(-X, 0)] for X ~ Normal(mean, deviation)."""
    z = mean / deviation
    return max(0.0, float(deviation * stats.norm.pdf(z) - mean * stats.norm.sf(z)))


def beta_posterior(
    control: Proportion,
    treatment: Proportion,
    *,
    prior: BetaPrior = BetaPrior(),
    credibility: float = 0.95,
    direction: Direction = Direction.HIGHER,
) -> Posterior | NotComputable:
    """Beta-binomial posterior of the difference of two shares.

    Chance and losses are one-dimensional integrals, P(B > A) = int f_B F_A and
    E[max(A - B, 0)] = int F_B (1 - F_A), which lose no digits where the closed sums
    (Miller 2014) do; the interval has equal tails.
    """
    require_share("credibility", credibility)
    if not control.units or not treatment.units:
        return NotComputable("an arm has no units yet")
    a, b = _posterior_share(control, prior), _posterior_share(treatment, prior)
    tail = (1 - credibility) / 2
    worse, better = _beta_shortfall(b, a), _beta_shortfall(a, b)
    lower = _chance_below(a, b, 0.0, _breaks(a), _breaks(b))
    up = direction is Direction.HIGHER
    return Posterior(
        mean=float(b.mean() - a.mean()),
        low=_difference_quantile(a, b, tail),
        high=_difference_quantile(a, b, 1 - tail),
        chance_to_beat=1 - lower if up else lower,
        loss_if_shipped=worse if up else better,
        loss_if_kept=better if up else worse,
    )


def _posterior_share(counts: Proportion, prior: BetaPrior) -> "stats.rv_continuous":
    return stats.beta(prior.a + counts.successes, prior.b + counts.units - counts.successes)


def _breaks(arm: "stats.rv_continuous") -> Array:
    """Points between which the arm's posterior is smooth and beyond which there is nothing."""
    return np.sort(np.concatenate([arm.ppf(_TAILS), arm.isf(_TAILS)]))


def _grid(breaks: Array) -> tuple[Array, Array]:
    """Nodes and weights of an integral over [0, 1], pieced together at `breaks`."""
    edges = np.unique(np.clip(breaks, 0.0, 1.0))
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (_NODES + 1)).ravel(), (half * _WEIGHTS).ravel()


def _chance_below(
    a: "stats.rv_continuous", b: "stats.rv_continuous", shift: float, own: Array, other: Array
) -> float:
    """P(B - A <= shift), with the breaks of A and of B."""
    nodes, weights = _grid(np.concatenate([own, other - shift]))
    return float(np.clip((weights * a.pdf(nodes) * b.cdf(nodes + shift)).sum(), 0.0, 1.0))


def _beta_shortfall(b: "stats.rv_continuous", a: "stats.rv_continuous") -> float:
    """E[max(A - B, 0)]."""
    nodes, weights = _grid(np.concatenate([_breaks(a), _breaks(b)]))
    return float((weights * b.cdf(nodes) * a.sf(nodes)).sum())


def _difference_quantile(a: "stats.rv_continuous", b: "stats.rv_continuous", q: float) -> float:
    """The q-quantile of B - A."""
    own, other = _breaks(a), _breaks(b)

    def lacking(shift: float) -> float:
        return _chance_below(a, b, shift, own, other) - q

    lowest, highest = float(other[0] - own[-1]), float(other[-1] - own[0])
    return float(optimize.brentq(lacking, lowest, highest, xtol=1e-12))
