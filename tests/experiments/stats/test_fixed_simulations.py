"""Fixed horizon: false positives, coverage and power are what they say. Seeded."""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from apps.experiments.stats.comparison import (
    TWO_SIDED,
    Alternative,
    Comparison,
    Hypothesis,
    Lift,
    compare,
    compare_proportions,
)
from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.cuped import Adjusted, WithPast, adjust_means, adjust_ratios
from apps.experiments.stats.design import Baseline, Design, SampleSize, sample_size
from apps.experiments.stats.estimates import Estimate, estimate_mean, estimate_ratio
from apps.experiments.stats.moments import Moments, Proportion
from apps.experiments.stats.multiplicity import Correction, adjusted
from apps.experiments.stats.stratification import population_weights, stratified
from apps.experiments.stats.winsorising import Limits, limits_of
from tests.experiments.stats.shares import is_at_most, is_near

pytestmark = pytest.mark.proof
RUNS = 4_000
Array = NDArray[np.float64]
# (generator, effect: share added to the treatment) -> the comparison of one simulated experiment.
Experiment = Callable[[Generator, float], Comparison | NotComputable]


def pair(arms: Iterable[Estimate | NotComputable]) -> Comparison | NotComputable:
    control, treatment = arms
    return compare(control, treatment)


def bernoulli(rng: Generator, lift: float, hypothesis: Hypothesis = TWO_SIDED) -> Comparison:
    arms = (
        Proportion(2000, rng.binomial(2000, 0.1)),
        Proportion(3000, rng.binomial(3000, 0.1 * (1 + lift))),
    )
    return computed(compare_proportions(*arms, hypothesis))


def amounts(rng: Generator, units: int, lift: float = 0.0) -> Array:
    return rng.lognormal(0, 1, units) * (1 + lift)


def lognormal(rng: Generator, lift: float) -> Comparison | NotComputable:
    arms = [Moments.of(amounts(rng, n, by)) for n, by in ((2000, 0.0), (1500, lift))]
    return pair(estimate_mean(arm) for arm in arms)


def clicks(rng: Generator, units: int, lift: float) -> tuple[Array, Array, Array]:
    """Clicks, views and each unit's own rate: a unit's views are alike."""
    rate = rng.beta(2, 8, units)
    views = rng.poisson(rng.gamma(2, 3, units)) + 1
    hits = rng.binomial(views, rate * (1 + lift))
    return hits.astype(float), views.astype(float), rate


def ratio(rng: Generator, lift: float) -> Comparison | NotComputable:
    arms = [Moments.of(*clicks(rng, 1500, by)[:2]) for by in (0.0, lift)]
    return pair(estimate_ratio(arm) for arm in arms)


def cuped(rng: Generator, lift: float) -> Comparison | NotComputable:
    arms = []
    for by in (0.0, lift):
        past = rng.gamma(2, 1, 1500)
        outcome = (past + rng.gamma(2, 1, 1500)) * (1 + by)
        new = rng.random(1500) < 0.2
        arms.append(WithPast(Moments.of(outcome[~new], past[~new]), Moments.of(outcome[new])))
    found = adjust_means(arms)
    return pair(found.estimates) if isinstance(found, Adjusted) else found


def cuped_ratio(rng: Generator, lift: float) -> Comparison | NotComputable:
    arms = []
    for by in (0.0, lift):
        hits, views, rate = clicks(rng, 1500, by)
        before = rng.poisson(5, 1500) + 1
        arms.append(WithPast(Moments.of(hits, views, rng.binomial(before, rate), before)))
    found = adjust_ratios(arms)
    return pair(found.estimates) if isinstance(found, Adjusted) else found


def post_stratified(rng: Generator, lift: float) -> Comparison | NotComputable:
    strata = []
    counts = rng.multinomial(3000, [0.6, 0.3, 0.1])
    for level, total in zip((1.0, 3.0, 9.0), counts, strict=True):
        first = rng.binomial(total, 0.5)
        sizes = ((first, 0.0), (total - first, lift))
        arms = [Moments.of(rng.gamma(4, level / 4, n) * (1 + by)) for n, by in sizes]
        strata.append([estimate_mean(arm) for arm in arms])
    found = stratified(strata, population_weights(strata))
    return pair(found) if isinstance(found, tuple) else found


def revenue(rng: Generator, lift: float) -> Comparison | NotComputable:
    arms = [(rng.random(4000) < 0.1) * amounts(rng, 4000, by) * 50 for by in (0.0, lift)]
    limits = limits_of(np.concatenate(arms), high=0.99, of_nonzero=True)
    assert isinstance(limits, Limits)
    return pair(estimate_mean(Moments.of(limits.apply(arm))) for arm in arms)


def computed(found: Comparison | NotComputable) -> Comparison:
    assert isinstance(found, Comparison), found
    return found


def repeated(experiment: Experiment, lift: float, runs: int = RUNS) -> Iterator[Comparison]:
    rng = np.random.default_rng(20_260_101)
    return (computed(experiment(rng, lift)) for _ in range(runs))


@pytest.mark.parametrize(
    "experiment",
    [bernoulli, lognormal, ratio, cuped, cuped_ratio, post_stratified, revenue],
)
def test_arms__that_are_the_same__differ_in_one_of_twenty(experiment: Experiment) -> None:
    found = (one.p_value < 0.05 for one in repeated(experiment, 0.0))
    assert is_near(f"false_positives_{experiment.__name__}", found, 0.05)


# Truth: what the control's mean is.
@pytest.mark.parametrize(
    ("experiment", "mean"),
    [
        (bernoulli, 0.1),
        (lognormal, math.exp(0.5)),
        (ratio, 0.2),
        (cuped, 4.0),
        (cuped_ratio, 0.2),
    ],
)
def test_intervals__of_difference_and_lift__hold_the_truth(
    experiment: Experiment, mean: float
) -> None:
    found = list(repeated(experiment, 0.1))
    difference = (one.low <= 0.1 * mean <= one.high for one in found)
    lifts = [one.lift for one in found if isinstance(one.lift, Lift)]
    assert is_near(f"coverage_difference_{experiment.__name__}", difference, 0.95)
    assert is_near(
        f"coverage_lift_{experiment.__name__}", (one.low <= 0.1 <= one.high for one in lifts), 0.95
    )


def test_interval__of_a_post_stratified_difference__holds_the_truth() -> None:
    # The effect on these users: their own mixture of strata, not the one they were drawn from.
    mean = 0.6 * 1 + 0.3 * 3 + 0.1 * 9
    found = [one.low <= 0.1 * mean <= one.high for one in repeated(post_stratified, 0.1)]
    assert is_near("coverage_difference_post_stratified", found, 0.95)


def test_non_inferiority__at_the_margin__is_shown_in_one_of_twenty() -> None:
    rng = np.random.default_rng(5)
    hypothesis = Hypothesis(alternative=Alternative.BETTER, margin=0.02)
    found = (bernoulli(rng, -0.2, hypothesis).p_value < 0.05 for _ in range(RUNS))
    assert is_near("false_non_inferiority", found, 0.05)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2), (0.1, 0.9)])
def test_power__of_planned_proportions__is_as_planned(shares: tuple[float, float]) -> None:
    size = sample_size(Baseline.of_proportion(0.1), 0.02, Design(shares=shares))
    assert isinstance(size, SampleSize)
    rng = np.random.default_rng(6)
    first, second = size.per_arm
    arms = zip(rng.binomial(first, 0.1, RUNS), rng.binomial(second, 0.12, RUNS), strict=True)
    found = (
        computed(compare_proportions(Proportion(first, int(a)), Proportion(second, int(b))))
        for a, b in arms
    )
    assert is_near(f"power_proportion_{shares}", (one.p_value < 0.05 for one in found), 0.8)


def test_power__of_planned_means__is_as_planned() -> None:
    variance = (math.e - 1) * math.e
    size = sample_size(Baseline(mean=math.exp(0.5), variance=variance), 0.2)
    assert isinstance(size, SampleSize)
    first, second = size.per_arm
    rng = np.random.default_rng(7)
    arms = ((amounts(rng, first), amounts(rng, second) + 0.2) for _ in range(2_000))
    found = (computed(pair(estimate_mean(Moments.of(x)) for x in both)) for both in arms)
    assert is_near("power_mean", (one.p_value < 0.05 for one in found), 0.8)


def test_goals__five_alike_and_one_true__keep_their_rates() -> None:
    rng = np.random.default_rng(8)
    shared, own = rng.normal(size=(RUNS, 1)), rng.normal(size=(RUNS, 6))
    scores = math.sqrt(0.3) * shared + math.sqrt(0.7) * own
    scores[:, 5] += 3.5
    tails = np.vectorize(math.erfc)(np.abs(scores) / math.sqrt(2)).tolist()
    holm = [values(adjusted(row, Correction.HOLM)) for row in tails]
    hochberg = [values(adjusted(row, Correction.BENJAMINI_HOCHBERG)) for row in tails]
    assert is_at_most("holm_any_false", (min(row[:5]) < 0.05 for row in holm), 0.05)
    false_share = [
        sum(p < 0.05 for p in row[:5]) / max(1, sum(p < 0.05 for p in row)) for row in hochberg
    ]
    print(f"\nbenjamini_hochberg_false_share={np.mean(false_share):.4f}", end="")
    assert np.mean(false_share) <= 0.05 + 3 * np.std(false_share) / math.sqrt(RUNS)


def values(found: list[float | NotComputable]) -> list[float]:
    return [one for one in found if isinstance(one, float)]
