"""CUPED is the analysis of covariance, to the last digit."""

import numpy as np
import pytest
from numpy.typing import NDArray

from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.cuped import Adjusted, WithPast, adjust_means, adjust_ratios
from apps.experiments.stats.estimates import Estimate, estimate_ratio
from apps.experiments.stats.moments import Moments

Array = NDArray[np.float64]


def computed(found: Adjusted | NotComputable) -> Adjusted:
    assert isinstance(found, Adjusted), found
    return found


def arms(seed: int = 0, units: int = 2000) -> tuple[Array, Array, Array]:
    """Which arm (0 or 1), the past, and an outcome that it explains by half."""
    rng = np.random.default_rng(seed)
    arm = rng.integers(0, 2, units).astype(float)
    past = rng.gamma(2, 3, units)
    return arm, past, 2 + 0.1 * arm + 0.6 * past + rng.normal(0, 2, units)


def least_squares(outcome: Array, *columns: Array) -> Array:
    design = np.column_stack([np.ones_like(outcome), *columns])
    found = np.linalg.lstsq(design, outcome, rcond=None)[0]
    return np.asarray(found, dtype=np.float64)


def test_means__with_a_past__are_the_analysis_of_covariance() -> None:
    arm, past, outcome = arms()
    groups = [WithPast(Moments.of(outcome[arm == k], past[arm == k])) for k in (0, 1)]
    found = computed(adjust_means(groups))
    _, effect, slope = least_squares(outcome, arm, past)
    control, treatment = found.estimates
    assert treatment.value - control.value == pytest.approx(effect)
    assert found.theta == pytest.approx([slope])
    residual = outcome - slope * past
    own = [residual[arm == k].var(ddof=1) / (arm == k).sum() for k in (0, 1)]
    assert [control.variance, treatment.variance] == pytest.approx(own)


def test_means__with_units_without_a_past__flag_them_as_a_second_covariate() -> None:
    arm, past, outcome = arms(1)
    new = np.random.default_rng(2).random(arm.size) < 0.3
    outcome = outcome + 4 * new
    groups = [
        WithPast(
            Moments.of(outcome[(arm == k) & ~new], past[(arm == k) & ~new]),
            Moments.of(outcome[(arm == k) & new]),
        )
        for k in (0, 1)
    ]
    found = computed(adjust_means(groups))
    filled = np.where(new, past[~new].mean(), past)
    _, effect, slope, flag = least_squares(outcome, arm, filled, new.astype(float))
    assert found.estimates[1].value - found.estimates[0].value == pytest.approx(effect)
    assert found.theta == pytest.approx([slope, flag])
    assert found.without_past == pytest.approx(new.mean())


def test_means__past_of_known_correlation__lose_its_square() -> None:
    rng = np.random.default_rng(3)
    past = rng.normal(size=200_000)
    outcome = 0.6 * past + 0.8 * rng.normal(size=past.size)
    found = computed(adjust_means([WithPast(Moments.of(outcome, past))]))
    assert found.variance_removed == pytest.approx(0.36, abs=0.006)


def test_means__merged_from_parts__are_the_same() -> None:
    _, past, outcome = arms(4, 60)
    parts = [WithPast(Moments.of(outcome[i::3], past[i::3])) for i in range(3)]
    whole = computed(adjust_means([WithPast(Moments.of(outcome, past))]))
    joined = computed(adjust_means([parts[2] + parts[0] + parts[1]]))
    assert joined.estimates[0].variance == pytest.approx(whole.estimates[0].variance)


def test_ratios__with_a_past__keep_their_value_and_lose_variance() -> None:
    rng = np.random.default_rng(5)
    rate = rng.beta(4, 16, 20_000)
    events, earlier = rng.poisson(20, 20_000) + 1, rng.poisson(20, 20_000) + 1
    hits, before = rng.binomial(events, rate), rng.binomial(earlier, rate)
    found = computed(adjust_ratios([WithPast(Moments.of(hits, events, before, earlier))]))
    plain = estimate_ratio(Moments.of(hits, events))
    assert isinstance(plain, Estimate)
    assert found.estimates[0].value == pytest.approx(plain.value)
    removed = 1 - found.estimates[0].variance / plain.variance
    assert removed == pytest.approx(found.variance_removed)
    assert removed > 0.15


def test_past__the_same_for_all_or_of_nobody__explains_nothing() -> None:
    same = WithPast(Moments.of([1.0, 2.0, 4.0], [3.0, 3.0, 3.0]))
    nobody = WithPast(Moments.empty(2), Moments.of([1.0, 2.0]))
    assert isinstance(adjust_means([same, same]), NotComputable)
    assert isinstance(adjust_means([nobody, nobody]), NotComputable)
    assert isinstance(adjust_ratios([WithPast(Moments.empty(4))]), NotComputable)
