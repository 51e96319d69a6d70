"""Like is compared with like."""

import math

import pytest

from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.estimates import Estimate
from apps.experiments.stats.stratification import (
    Stratum,
    overlap_weights,
    population_weights,
    stratified,
)


def arm(value: float, units: int, deviation: float = 1.0) -> Estimate:
    variance = deviation**2 / units
    return Estimate(value=value, variance=variance, units=units, degrees=units - 1)


def joined(found: tuple[Estimate, ...] | NotComputable) -> tuple[Estimate, ...]:
    assert isinstance(found, tuple), found
    return found


def test_phases__of_different_splits__hide_no_effect_and_make_none() -> None:
    # Everybody buys more in the second phase, when most are in the treatment: no effect in either.
    phases = [[arm(1, 9000), arm(1, 1000)], [arm(2, 1000), arm(2, 9000)]]
    control, treatment = joined(stratified(phases, overlap_weights(phases)))
    assert treatment.value - control.value == pytest.approx(0)


def test_strata__by_population__are_weighted_sums() -> None:
    strata = [[arm(1, 300), arm(2, 100)], [arm(3, 300), arm(5, 900, 2)]]
    weights = population_weights(strata)
    control, treatment = joined(stratified(strata, weights))
    assert weights == pytest.approx([0.25, 0.75])
    assert (control.value, treatment.value) == pytest.approx((2.5, 4.25))
    assert treatment.variance == pytest.approx(0.25**2 / 100 + 0.75**2 * 4 / 900)
    assert 99 < treatment.degrees < 998


def test_phase__with_one_arm_only__weighs_nothing() -> None:
    phases: list[Stratum] = [
        [arm(1, 100), NotComputable("an arm has no units yet")],
        [arm(2, 50), arm(3, 50)],
    ]
    assert overlap_weights(phases) == [0.0, 1.0]
    control, treatment = joined(stratified(phases, overlap_weights(phases)))
    assert (control.value, treatment.value) == (2, 3)


def test_stratum__that_counts_but_cannot_be_computed__is_named() -> None:
    strata: list[Stratum] = [[arm(1, 100), NotComputable("an arm has fewer than two units")]]
    found = stratified(strata, population_weights(strata))
    assert found == NotComputable("in one stratum an arm has fewer than two units")
    assert isinstance(stratified([], []), NotComputable)


def test_strata__of_normal_approximations__stay_so() -> None:
    one = Estimate(value=1, variance=1, units=50)
    (found,) = joined(stratified([[one], [one]], [0.5, 0.5]))
    assert found.degrees == math.inf
