"""Before the start: units needed, power, the smallest effect that would be seen, and days."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy import optimize, stats

from apps.experiments.stats.comparison import TWO_SIDED, Alternative, Hypothesis
from apps.experiments.stats.computable import NotComputable, require_share
from apps.experiments.stats.estimates import Estimate
from apps.experiments.stats.sequential import sequence_width

WEEK = 7
LONGEST_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the metric is without the treatment.

    `variance` is of one unit's value (of its linearised value for a ratio, `of_estimate`); a
    `is_proportion` has p (1 - p), also after the effect.
    """

    mean: float
    variance: float
    is_proportion: bool = False

    @classmethod
    def of_proportion(cls, share: float) -> "Baseline":
        """Of units that do something with probability `share`."""
        require_share("share", share)
        return cls(mean=share, variance=share * (1 - share), is_proportion=True)

    @classmethod
    def of_estimate(cls, estimate: Estimate) -> "Baseline":
        """From an estimate of any kind (mean, ratio, quantile, CUPED): n times its variance."""
        return cls(mean=estimate.value, variance=estimate.variance * estimate.units)

    def after(self, effect: float) -> float | None:
        """Variance under an absolute effect, or None where a share would leave [0, 1]."""
        if not self.is_proportion:
            return self.variance
        share = self.mean + effect
        return share * (1 - share) if 0 <= share <= 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is planned. `shares` sum to 1, the control's first; each other arm is held against it.

    Alpha is divided by (arms - 1) x `goals`, Holm's first step. `sequential` plans for a confidence
    sequence tuned at the planned size, judged at that size: looks before it only add power.
    """

    hypothesis: Hypothesis = TWO_SIDED
    power: float = 0.8
    shares: tuple[float, ...] = (0.5, 0.5)
    goals: int = 1
    sequential: bool = False

    def __post_init__(self) -> None:
        require_share("power", self.power)
        if len(self.shares) < 2 or min(self.shares) <= 0:
            raise ValueError("a design has at least two arms, each with a positive share")
        if not math.isclose(sum(self.shares), 1.0, abs_tol=1e-9) or self.goals < 1:
            raise ValueError("shares sum to 1, and there is at least one goal")

    @property
    def critical(self) -> float:
        """How many standard errors from the null hypothesis a difference counts."""
        comparisons = (len(self.shares) - 1) * self.goals
        corrected = replace(self.hypothesis, alpha=self.hypothesis.alpha / comparisons)
        if self.sequential:
            # At n = N* the width does not depend on n.
            return sequence_width(1.0, corrected, sharpest_at=1.0)
        return float(stats.norm.isf(corrected.tail))

    @property
    def weakest(self) -> float:
        """Share of the smallest treatment arm: its comparison needs the most units."""
        return min(self.shares[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSize:
    """Units per arm, the control first, and together."""

    per_arm: tuple[int, ...]

    @property
    def total(self) -> int:
        """Units of all arms."""
        return sum(self.per_arm)


def sample_size(
    baseline: Baseline, effect: float, design: Design = Design()
) -> SampleSize | NotComputable:
    """Units for `design.power` to show an absolute `effect` (signed) against every arm.

    N = (c sqrt(V_0) + z_power sqrt(V_1))^2 / distance^2, V = v_a / share_a + v_b / share_b under
    the null hypothesis and under the effect; distance is the effect in the good direction plus the
    margin where the question is one-sided. Means have V_0 = V_1, which is
    n_a = (c + z_power)^2 (v_a + v_b / k) / distance^2 with k = n_b / n_a. Proportions are tested
    with the pooled variance, which is V_0 (Fleiss, Levin, Paik 2003, section 4.2).
    """
    spread = _spread(baseline, effect, design)
    distance = _distance(baseline, effect, design)
    if isinstance(spread, NotComputable):
        return spread
    if distance <= 0:
        return NotComputable("no number of units shows this effect")
    reach = design.critical * spread.null + float(stats.norm.ppf(design.power)) * spread.effect
    if reach <= 0:
        return NotComputable("the power is below what chance alone gives")
    total = (reach / distance) ** 2
    return SampleSize(per_arm=tuple(math.ceil(total * share) for share in design.shares))


def power_of(
    baseline: Baseline, effect: float, total: int, design: Design = Design()
) -> float | NotComputable:
    """Chance to show an absolute `effect` with `total` units, for the smallest treatment arm.

    A two-sided test counts both tails, as a test that rejects at no effect has power alpha.
    """
    if total <= 0:
        return NotComputable("a positive number of units is needed")
    spread = _spread(baseline, effect, design)
    if isinstance(spread, NotComputable):
        return spread
    away = _distance(baseline, effect, design) * math.sqrt(total) / spread.effect
    critical = design.critical * spread.null / spread.effect
    power = float(stats.norm.sf(critical - away))
    if not design.hypothesis.one_sided:
        power += float(stats.norm.cdf(-critical - away))
    return power


def power_curve(
    baseline: Baseline, effects: Sequence[float], total: int, design: Design = Design()
) -> list[tuple[float, float | NotComputable]]:
    """`(effect, power)` for each effect."""
    return [(effect, power_of(baseline, effect, total, design)) for effect in effects]


def minimum_detectable_effect(
    baseline: Baseline, total: int, design: Design = Design()
) -> float | NotComputable:
    """The smallest absolute effect in the good direction (its sign kept) that `power` shows.

    Under a margin that is the true effect at which non-inferiority is shown; it may be negative in
    the good direction, so the search begins at minus the margin.
    """
    if total <= 0:
        return NotComputable("a positive number of units is needed")
    if baseline.variance <= 0:
        return NotComputable("no unit differs from another, so chance cannot be judged")
    sign = design.hypothesis.direction.sign
    least = -_margin(baseline, design)
    most = _largest(baseline, sign, total, design)

    def lacking(size: float) -> float:
        power = power_of(baseline, sign * size, total, design)
        return (power if isinstance(power, float) else 0.0) - design.power

    if most <= least or lacking(most) < 0:
        return NotComputable("so few units show no effect that is possible")
    if lacking(least) >= 0:
        return NotComputable("the power is below what chance alone gives")
    return sign * float(optimize.brentq(lacking, least, most, xtol=1e-12 * (most - least)))


def _largest(baseline: Baseline, sign: int, total: int, design: Design) -> float:
    """An effect that surely is large enough, or the largest that there can be."""
    if baseline.is_proportion:
        room = 1 - baseline.mean if sign > 0 else baseline.mean
        return room * (1 - 1e-9)
    spread = _spread(baseline, 0.0, design)
    error = spread.effect / math.sqrt(total) if isinstance(spread, _Spread) else 0.0
    return (design.critical + abs(float(stats.norm.ppf(design.power))) + 1) * error


@dataclass(frozen=True, slots=True)
class _Spread:
    """Standard error of the difference times sqrt(N): as the test assumes it, and as it is."""

    null: float
    effect: float


def _spread(baseline: Baseline, effect: float, design: Design) -> _Spread | NotComputable:
    after = baseline.after(effect)
    if after is None:
        return NotComputable("the effect takes the share out of 0 to 100 %")
    hypothesis, control = design.hypothesis, design.shares[0]
    # A relative margin holds the treatment against (1 -+ margin) times the control.
    scale = 1.0
    if hypothesis.margin_is_relative:
        scale = 1 - hypothesis.direction.sign * hypothesis.margin
    variance = baseline.variance * scale**2 / control + after / design.weakest
    if variance <= 0:
        return NotComputable("no unit differs from another, so chance cannot be judged")
    pools = baseline.is_proportion and not hypothesis.margin and not design.sequential
    if not pools:
        return _Spread(math.sqrt(variance), math.sqrt(variance))
    share = baseline.mean + effect * design.weakest / (control + design.weakest)
    pooled = share * (1 - share) * (1 / control + 1 / design.weakest)
    return _Spread(math.sqrt(pooled), math.sqrt(variance))


def _distance(baseline: Baseline, effect: float, design: Design) -> float:
    if design.hypothesis.alternative is Alternative.DIFFERENT:
        return abs(effect)
    return design.hypothesis.direction.sign * effect + _margin(baseline, design)


def _margin(baseline: Baseline, design: Design) -> float:
    scale = baseline.mean if design.hypothesis.margin_is_relative else 1.0
    return design.hypothesis.margin * scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Days until the units are there, and the same in whole weeks, which is what to plan.

    A week has every weekday once: a test that ends within one weighs some days twice.
    """

    days: int
    weeks: int


def duration(
    total: int, daily_new_units: Sequence[float], *, first_weekday: int = 0, share: float = 1.0
) -> Duration | NotComputable:
    """How long an endpoint takes to bring `total` new units.

    `daily_new_units` are measured new (not returning) units by weekday, Monday first, 7 of them;
    `share` (0..1] is what of the traffic takes part. Assumes that new units keep coming at this
    rate: where users return, their number falls, and the measured week should be a late one.
    """
    if len(daily_new_units) != WEEK or min(daily_new_units) < 0:
        raise ValueError("daily_new_units are seven numbers, none negative")
    if not 0 <= first_weekday < WEEK or not 0 < share <= 1:
        raise ValueError("first_weekday is 0 to 6, and share above 0 and at most 1")
    seen = 0.0
    for day in range(LONGEST_DAYS):
        if seen >= total:
            return Duration(days=day, weeks=math.ceil(day / WEEK))
        seen += share * daily_new_units[(first_weekday + day) % WEEK]
    return NotComputable(f"the traffic does not bring {total:,} units within a year")
