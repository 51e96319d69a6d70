"""Fixed horizon, held against scipy, statsmodels and published examples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from apps.experiments.stats.comparison import (
    Alternative,
    Comparison,
    Direction,
    Hypothesis,
    Lift,
    LiftMethod,
    Verdict,
    compare,
    compare_proportions,
    relative_lift,
)
from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.estimates import Estimate, estimate_mean, estimate_ratio
from apps.experiments.stats.moments import Moments, Proportion
from tests.experiments.stats.oracles import confint_proportions_2indep, proportions_ztest

BETTER = Hypothesis(alternative=Alternative.BETTER)
# Student (1908): extra hours of sleep under two drugs; R's t.test prints the figures below.
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def computed(found: Comparison | NotComputable) -> Comparison:
    assert isinstance(found, Comparison), found
    return found


def mean(values: object) -> Estimate:
    found = estimate_mean(Moments.of(np.asarray(values)))
    assert isinstance(found, Estimate)
    return found


def at(value: float, error: float, units: int = 1000) -> Estimate:
    return Estimate(value=value, variance=error**2, units=units)


def test_means__of_students_sleep__are_as_published() -> None:
    found = computed(compare(mean(FIRST_DRUG), mean(SECOND_DRUG)))
    assert found.p_value == pytest.approx(0.07939, abs=5e-6)
    assert found.degrees == pytest.approx(17.776, abs=5e-4)
    assert (found.low, found.high) == pytest.approx((-0.2054832, 3.3654832), abs=5e-8)
    assert found.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("seed", range(3))
def test_means__of_unequal_arms__are_scipys_welch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    control, treatment = rng.exponential(2, 40), rng.normal(2.5, 4, 90)
    found = computed(compare(mean(control), mean(treatment)))
    oracle = stats.ttest_ind(treatment, control, equal_var=False)
    interval = oracle.confidence_interval()
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


@pytest.mark.parametrize(
    ("direction", "named"), [(Direction.HIGHER, "greater"), (Direction.LOWER, "less")]
)
def test_means__one_sided__are_scipys_welch(direction: Direction, named: str) -> None:
    hypothesis = Hypothesis(alternative=Alternative.BETTER, direction=direction)
    found = computed(compare(mean(FIRST_DRUG), mean(SECOND_DRUG), hypothesis))
    oracle = stats.ttest_ind(SECOND_DRUG, FIRST_DRUG, equal_var=False, alternative=named)
    interval = oracle.confidence_interval()
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


@pytest.mark.parametrize("arms", [((1000, 100), (1100, 145)), ((50, 20), (5000, 2300))])
@pytest.mark.parametrize(("hypothesis", "named"), [(Hypothesis(), "two-sided"), (BETTER, "larger")])
def test_proportions__any__are_statsmodels(
    arms: tuple[tuple[int, int], tuple[int, int]], hypothesis: Hypothesis, named: str
) -> None:
    (n_a, s_a), (n_b, s_b) = arms
    found = computed(compare_proportions(Proportion(n_a, s_a), Proportion(n_b, s_b), hypothesis))
    _, p_value = proportions_ztest([s_b, s_a], [n_b, n_a], alternative=named)
    assert found.p_value == pytest.approx(p_value, rel=1e-9)
    if not hypothesis.one_sided:
        wald = confint_proportions_2indep(s_b, n_b, s_a, n_a, method="wald")
        assert (found.low, found.high) == pytest.approx(wald, rel=1e-9)


def test_proportions__two_sided__squared_are_chi_square() -> None:
    found = computed(compare_proportions(Proportion(400, 120), Proportion(600, 230)))
    table = [[120, 280], [230, 370]]
    assert found.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)


@pytest.mark.parametrize(
    "arms",
    [
        (Proportion(0, 0), Proportion(10, 5)),
        (Proportion(1000, 0), Proportion(1000, 0)),
        (Proportion(1000, 1), Proportion(1000, 4)),
        (Proportion(20, 20), Proportion(30, 30)),
    ],
)
def test_proportions__that_say_nothing__are_not_computable(
    arms: tuple[Proportion, Proportion],
) -> None:
    assert isinstance(compare_proportions(*arms), NotComputable)


def test_means__without_spread_or_units__are_not_computable() -> None:
    assert isinstance(compare(mean([1, 1]), mean([2, 2])), NotComputable)
    assert estimate_mean(Moments.of([1.0])) == NotComputable("an arm has fewer than two units")
    reason = NotComputable("no")
    assert compare(reason, mean([1, 2])) is reason


def test_ratio__any__has_the_jackknifes_variance() -> None:
    rng = np.random.default_rng(1)
    events = rng.poisson(5, 4000) + 1
    hits = rng.binomial(events, rng.beta(2, 8, 4000))
    found = estimate_ratio(Moments.of(hits, events))
    assert isinstance(found, Estimate)
    without = (hits.sum() - hits) / (events.sum() - events)
    jackknife = (without.size - 1) / without.size * ((without - without.mean()) ** 2).sum()
    assert found.value == pytest.approx(hits.sum() / events.sum())
    assert found.variance == pytest.approx(jackknife, rel=2e-3)


@pytest.mark.parametrize("denominator", [np.zeros(50), np.arange(50) - 24.4])
def test_ratio__of_denominators_near_zero__is_not_computable(denominator: object) -> None:
    found = estimate_ratio(Moments.of(np.ones(50), np.asarray(denominator)))
    assert found == NotComputable("the ratio's denominator is too close to zero")


def test_non_inferiority__within_the_margin__is_shown() -> None:
    control, treatment = at(10, 0.1), at(9.9, 0.1)
    absolute = Hypothesis(alternative=Alternative.BETTER, margin=0.5)
    relative = Hypothesis(alternative=Alternative.BETTER, margin=0.05, margin_is_relative=True)
    found = computed(compare(control, treatment, absolute))
    assert found.verdict is Verdict.NOT_INFERIOR
    assert found.p_value == pytest.approx(stats.norm.sf(0.4 / math.hypot(0.1, 0.1)))
    assert found.low > -0.5
    by_share = computed(compare(control, treatment, relative))
    assert by_share.p_value == pytest.approx(stats.norm.sf(0.4 / math.hypot(0.1, 0.095)))


def test_non_inferiority__where_lower_is_better__mirrors() -> None:
    higher = Hypothesis(alternative=Alternative.BETTER, margin=0.5)
    lower = Hypothesis(alternative=Alternative.BETTER, margin=0.5, direction=Direction.LOWER)
    up = computed(compare(at(10, 0.1), at(9.8, 0.1), higher))
    down = computed(compare(at(10, 0.1), at(10.2, 0.1), lower))
    assert up.p_value == pytest.approx(down.p_value)
    assert up.low == pytest.approx(-down.high)
    assert down.low == -math.inf


@given(st.floats(0.5, 5), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_direction__turned__turns_the_verdict(value: float, one: float, other: float) -> None:
    turned = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    arms = at(2, one), at(value, other)
    up = computed(compare(*arms))
    down = computed(compare(*arms, Hypothesis(direction=Direction.LOWER)))
    assert down.verdict is turned.get(up.verdict, Verdict.UNDECIDED)


@given(st.floats(1, 5), st.floats(0.11, 0.45), st.floats(-5, 5), st.floats(0.05, 2))
def test_lift__near_zero__ends_where_fiellers_test_does(
    control: float, nearness: float, treatment: float, error: float
) -> None:
    a, b = at(control, nearness * control), at(treatment, error)
    found = relative_lift(a, b, Hypothesis(), critical=1.96)
    assert isinstance(found, Lift)
    assert found.method is LiftMethod.FIELLER
    for ratio in (1 + found.low, 1 + found.high):
        test = (b.value - ratio * a.value) / math.hypot(b.standard_error, ratio * a.standard_error)
        assert abs(test) == pytest.approx(1.96, rel=1e-6)


def test_lift__far_from_zero__is_the_same_by_delta_and_fieller() -> None:
    control, treatment = at(10, 0.1), at(11, 0.1)
    found = computed(compare(control, treatment)).lift
    assert isinstance(found, Lift)
    assert found.method is LiftMethod.DELTA
    assert found.value == pytest.approx(0.1)
    assert found.variance == pytest.approx(0.1**2 / 10**2 + 11**2 * 0.1**2 / 10**4)


@pytest.mark.parametrize("control", [at(0, 1), at(1, 1), at(-10, 0.1)])
def test_lift__of_a_control_not_above_zero__is_not_computable(control: Estimate) -> None:
    found = computed(compare(control, at(5, 1)))
    assert isinstance(found.lift, NotComputable)
    assert math.isfinite(found.low)


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"margin": -1.0}, {"margin": 1.0}, {"alpha": 2.0}]
)
def test_hypothesis__that_means_nothing__is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"alpha|margin"):
        Hypothesis(**wrong)  # type: ignore[arg-type]  # parametrised floats only
