"""Two arms compared at the planned end: difference, interval, p-value, relative lift."""

import math
from dataclasses import dataclass
from enum import StrEnum

from scipy import stats

from apps.experiments.stats.computable import NotComputable, first_reason, require_share
from apps.experiments.stats.estimates import Estimate, estimate_proportion
from apps.experiments.stats.moments import Proportion

# Cochran's rule for the normal approximation of counts.
MINIMUM_EXPECTED = 5.0
# How many standard errors the control must lie from zero for a lift by the delta method.
AWAY_FROM_ZERO = 10.0


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self is Direction.HIGHER else -1


class Alternative(StrEnum):
    """What is to be shown: a difference either way, or that the treatment is better."""

    DIFFERENT = "different"
    BETTER = "better"


class Verdict(StrEnum):
    """What a comparison showed."""

    BETTER = "better"
    WORSE = "worse"
    NOT_INFERIOR = "not_inferior"
    UNDECIDED = "undecided"


class LiftMethod(StrEnum):
    """How a relative lift's interval was made."""

    DELTA = "delta"
    FIELLER = "fieller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What is asked of a comparison, fixed before the start.

    `margin` >= 0 is how much worse still counts as not inferior, in the metric's unit, or as a
    share of the control's value where `margin_is_relative`; only a one-sided question has one.
    """

    alpha: float = 0.05
    alternative: Alternative = Alternative.DIFFERENT
    direction: Direction = Direction.HIGHER
    margin: float = 0.0
    margin_is_relative: bool = False

    def __post_init__(self) -> None:
        require_share("alpha", self.alpha)
        if self.margin < 0:
            raise ValueError("a margin is not negative")
        if self.margin and not self.one_sided:
            raise ValueError("only a one-sided question has a margin")

    @property
    def one_sided(self) -> bool:
        """Whether only one direction counts as evidence."""
        return self.alternative is Alternative.BETTER

    @property
    def tail(self) -> float:
        """Alpha of each tail that counts."""
        return self.alpha if self.one_sided else self.alpha / 2


TWO_SIDED = Hypothesis()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """Relative lift treatment / control - 1 with its interval, as shares (0.01 = 1 %)."""

    value: float
    low: float
    high: float
    variance: float
    method: LiftMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Treatment minus control. A one-sided question's interval is open on its other side."""

    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float
    degrees: float
    lift: Lift | NotComputable
    verdict: Verdict


def compare(
    control: Estimate | NotComputable,
    treatment: Estimate | NotComputable,
    hypothesis: Hypothesis = TWO_SIDED,
) -> Comparison | NotComputable:
    """Welch's t test and interval (z where both arms are normal approximations).

    Degrees of freedom by Welch (1947) and Satterthwaite (1946). Assumes units independent within
    and between arms, and means near normal: by their number, or because the units are.
    """
    if isinstance(control, NotComputable) or isinstance(treatment, NotComputable):
        return first_reason(control, treatment) or NotComputable("")
    if control.variance + treatment.variance <= 0:
        return NotComputable("no unit differs from another, so chance cannot be judged")
    degrees = welch_degrees(control, treatment)
    null = null_control(control, hypothesis)
    statistic = (treatment.value - null.value) / math.hypot(
        null.standard_error, treatment.standard_error
    )
    return assemble(
        control,
        treatment,
        hypothesis,
        critical=float(stats.t.isf(hypothesis.tail, degrees)),
        p_value=tail_probability(statistic, degrees, hypothesis),
        degrees=degrees,
    )


def compare_proportions(
    control: Proportion, treatment: Proportion, hypothesis: Hypothesis = TWO_SIDED
) -> Comparison | NotComputable:
    """Two-proportion z test with the pooled variance, interval with the unpooled one.

    Under a margin the null hypothesis has two different shares, so the test is unpooled, too.
    """
    arms = estimate_proportion(control), estimate_proportion(treatment)
    unpooled = compare(*arms, hypothesis)
    pooled = control + treatment
    if isinstance(unpooled, NotComputable):
        return unpooled
    fewest = min(control.units, treatment.units)
    rarer = min(pooled.successes, pooled.units - pooled.successes)
    if fewest * rarer / pooled.units < MINIMUM_EXPECTED:
        return NotComputable("too few units of one kind: fewer than 5 expected in an arm")
    if (
        hypothesis.margin
        or isinstance(arms[0], NotComputable)
        or isinstance(arms[1], NotComputable)
    ):
        return unpooled
    variance = pooled.share * (1 - pooled.share) * (1 / control.units + 1 / treatment.units)
    statistic = unpooled.difference / math.sqrt(variance)
    return assemble(
        arms[0],
        arms[1],
        hypothesis,
        critical=float(stats.norm.isf(hypothesis.tail)),
        p_value=tail_probability(statistic, math.inf, hypothesis),
    )


def null_control(control: Estimate, hypothesis: Hypothesis) -> Estimate:
    """What the treatment is held against: the control, made worse by the margin."""
    worse = -hypothesis.direction.sign * hypothesis.margin
    if hypothesis.margin_is_relative:
        return control.times(1 + worse)
    return Estimate(
        value=control.value + worse,
        variance=control.variance,
        units=control.units,
        degrees=control.degrees,
    )


def welch_degrees(first: Estimate, second: Estimate) -> float:
    """Degrees of freedom of the sum of two independent variances."""
    parts = first.variance**2 / first.degrees + second.variance**2 / second.degrees
    return (first.variance + second.variance) ** 2 / parts if parts > 0 else math.inf


def tail_probability(statistic: float, degrees: float, hypothesis: Hypothesis) -> float:
    """p of a standardised difference under the hypothesis's alternative."""
    if hypothesis.one_sided:
        return float(stats.t.sf(hypothesis.direction.sign * statistic, degrees))
    return float(2 * stats.t.sf(abs(statistic), degrees))


def assemble(
    control: Estimate,
    treatment: Estimate,
    hypothesis: Hypothesis,
    *,
    critical: float,
    p_value: float,
    degrees: float = math.inf,
) -> Comparison:
    """The comparison whose intervals are `critical` standard errors wide on each side."""
    difference = treatment.value - control.value
    error = math.hypot(control.standard_error, treatment.standard_error)
    low, high = bounds(difference - critical * error, difference + critical * error, hypothesis)
    return Comparison(
        difference=difference,
        standard_error=error,
        low=low,
        high=high,
        p_value=p_value,
        degrees=degrees,
        lift=relative_lift(control, treatment, hypothesis, critical=critical),
        verdict=_verdict(difference, p_value, hypothesis),
    )


def bounds(low: float, high: float, hypothesis: Hypothesis) -> tuple[float, float]:
    """Both bounds, or the one that a one-sided question asks for and infinity."""
    if not hypothesis.one_sided:
        return low, high
    return (low, math.inf) if hypothesis.direction is Direction.HIGHER else (-math.inf, high)


def _verdict(difference: float, p_value: float, hypothesis: Hypothesis) -> Verdict:
    if p_value >= hypothesis.alpha:
        return Verdict.UNDECIDED
    if hypothesis.one_sided:
        return Verdict.NOT_INFERIOR if hypothesis.margin else Verdict.BETTER
    better = hypothesis.direction.sign * difference > 0
    return Verdict.BETTER if better else Verdict.WORSE


def relative_lift(
    control: Estimate, treatment: Estimate, hypothesis: Hypothesis, *, critical: float
) -> Lift | NotComputable:
    """Treatment / control - 1; by the delta method, or by Fieller's where the control is near 0.

    Delta: Var(L) = var_b / m_a^2 + m_b^2 var_a / m_a^4, with var the arms' sampling variances.
    Fieller (1954): the values r for which m_b - r m_a is not significant; unbounded, and so not
    computable, where the control itself is not significantly different from 0.
    """
    if control.value < 0:
        return NotComputable("the control's value is negative: a relative lift would mislead")
    nearness = critical * control.standard_error
    if control.value <= nearness:
        return NotComputable("the control's value is not distinguishable from zero")
    ratio = treatment.value / control.value
    variance = (treatment.variance + ratio**2 * control.variance) / control.value**2
    if control.value >= AWAY_FROM_ZERO * control.standard_error:
        method, half, centre = LiftMethod.DELTA, critical * math.sqrt(variance), ratio
    else:
        g = (nearness / control.value) ** 2
        inner = treatment.variance * (1 - g) + ratio**2 * control.variance
        half = critical / control.value * math.sqrt(inner) / (1 - g)
        method, centre = LiftMethod.FIELLER, ratio / (1 - g)
    low, high = bounds(centre - half - 1, centre + half - 1, hypothesis)
    return Lift(value=ratio - 1, low=low, high=high, variance=variance, method=method)
