"""Planning, held against statsmodels and the tables of Cohen (1988)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.experiments.stats.comparison import Alternative, Direction, Hypothesis
from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.design import (
    Baseline,
    Design,
    Duration,
    SampleSize,
    duration,
    minimum_detectable_effect,
    power_curve,
    power_of,
    sample_size,
)
from tests.experiments.stats.oracles import NormalIndPower, TTestIndPower

UNIT = Baseline(mean=10.0, variance=1.0)
BETTER = Hypothesis(alternative=Alternative.BETTER)


def sized(found: SampleSize | NotComputable) -> SampleSize:
    assert isinstance(found, SampleSize), found
    return found


@pytest.mark.parametrize(("effect", "table"), [(0.2, 393), (0.5, 64), (0.8, 26)])
def test_sample_size__of_a_mean__is_cohens(effect: float, table: int) -> None:
    (control, treatment) = sized(sample_size(UNIT, effect)).per_arm
    assert control == treatment
    assert table - 1 <= control <= table  # the table is of t, which asks for one more


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("named", ["two-sided", "larger"])
def test_sample_size__of_unequal_arms__is_statsmodels(ratio: float, named: str) -> None:
    hypothesis = BETTER if named == "larger" else Hypothesis()
    design = Design(shares=(1 / (1 + ratio), ratio / (1 + ratio)), hypothesis=hypothesis, power=0.9)
    oracle = NormalIndPower().solve_power(
        0.1, alpha=0.05, power=0.9, ratio=ratio, alternative=named
    )
    assert sized(sample_size(UNIT, 0.1, design)).per_arm[0] == pytest.approx(oracle, abs=1)


def test_sample_size__of_a_proportion__pools_under_the_null_hypothesis() -> None:
    found = sized(sample_size(Baseline.of_proportion(0.10), 0.02))
    # (1.960 sqrt(2 x .11 x .89) + .842 sqrt(.1 x .9 + .12 x .88))^2 / .02^2
    assert found.per_arm == (3841, 3841)
    assert found.total == 7682


def test_sample_size__of_a_watched_proportion__does_not_pool() -> None:
    design = Design(sequential=True)
    found = sized(sample_size(Baseline.of_proportion(0.10), 0.02, design))
    assert found.per_arm[0] == math.ceil(
        (design.critical + 0.8416212) ** 2 * (0.1 * 0.9 + 0.12 * 0.88) / 0.02**2
    )


def test_power__of_a_mean__is_statsmodels() -> None:
    oracle = TTestIndPower().power(0.1, nobs1=2000, alpha=0.05, ratio=1)
    assert power_of(UNIT, 0.1, 4000) == pytest.approx(oracle, abs=1e-3)


def test_power__without_an_effect__is_alpha() -> None:
    assert power_of(UNIT, 0.0, 4000) == pytest.approx(0.05)


@given(st.floats(0.01, 0.5), st.floats(0.55, 0.95), st.booleans(), st.booleans())
def test_power__at_the_planned_size__is_the_planned_power(
    effect: float, power: float, one_sided: bool, sequential: bool
) -> None:
    hypothesis = BETTER if one_sided else Hypothesis()
    design = Design(hypothesis=hypothesis, power=power, sequential=sequential)
    baseline = Baseline(mean=1.0, variance=25.0)
    total = sized(sample_size(baseline, effect, design)).total
    assert power_of(baseline, effect, total, design) == pytest.approx(power, abs=0.01)
    smallest = minimum_detectable_effect(baseline, total, design)
    assert smallest == pytest.approx(effect, rel=0.02)


@pytest.mark.parametrize("direction", Direction)
def test_smallest_effect__of_a_proportion__points_the_good_way(direction: Direction) -> None:
    design = Design(hypothesis=Hypothesis(direction=direction))
    baseline = Baseline.of_proportion(0.1)
    found = minimum_detectable_effect(baseline, 7682, design)
    assert isinstance(found, float)
    assert math.copysign(1, found) == direction.sign
    assert power_of(baseline, found, 7682, design) == pytest.approx(0.8)


def test_arms_and_goals__more_of_them__ask_for_more_units() -> None:
    three = Design(shares=(0.5, 0.25, 0.25), goals=2)
    found = sized(sample_size(UNIT, 0.1, three)).per_arm
    oracle = NormalIndPower().solve_power(0.1, alpha=0.05 / 4, power=0.8, ratio=0.5)
    assert found[0] == pytest.approx(oracle, abs=1)
    assert found[1] == found[2]


def test_sequential__planned_at_its_end__costs_about_double() -> None:
    fixed = sized(sample_size(UNIT, 0.1)).total
    watched = sized(sample_size(UNIT, 0.1, Design(sequential=True))).total
    assert watched / fixed == pytest.approx(1.915, abs=0.005)


def test_non_inferiority__without_a_true_effect__rests_on_the_margin() -> None:
    design = Design(hypothesis=Hypothesis(alternative=Alternative.BETTER, margin=0.1))
    shown = sized(sample_size(UNIT, 0.0, design))
    oracle = NormalIndPower().solve_power(0.1, alpha=0.05, power=0.8, alternative="larger")
    assert shown.per_arm[0] == pytest.approx(oracle, abs=1)
    assert minimum_detectable_effect(UNIT, shown.total, design) == pytest.approx(0, abs=1e-4)


def test_curve__of_growing_effects__grows() -> None:
    curve = power_curve(UNIT, [0.0, 0.05, 0.1, 0.2], 2000)
    powers = [power for _, power in curve if isinstance(power, float)]
    assert len(powers) == 4
    assert powers == sorted(powers)


@pytest.mark.parametrize(
    "found",
    [
        sample_size(UNIT, 0.0),
        sample_size(Baseline.of_proportion(0.9), 0.2),
        sample_size(Baseline(mean=1, variance=0), 0.1),
        sample_size(UNIT, -0.1, Design(hypothesis=BETTER)),
        power_of(UNIT, 0.1, 0),
        minimum_detectable_effect(Baseline.of_proportion(0.5), 6),
        minimum_detectable_effect(Baseline(mean=1, variance=0), 100),
    ],
)
def test_design__of_nothing_to_see__is_not_computable(found: object) -> None:
    assert isinstance(found, NotComputable)


def test_duration__of_a_seasonal_week__counts_days_and_whole_weeks() -> None:
    week = [100.0] * 5 + [20.0] * 2
    assert duration(560, week) == Duration(days=8, weeks=2)
    assert duration(540, week) == Duration(days=7, weeks=1)
    assert duration(40, week, first_weekday=5) == Duration(days=2, weeks=1)
    assert duration(270, week, share=0.5) == Duration(days=7, weeks=1)
    assert isinstance(duration(10, [0.0] * 7), NotComputable)


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.4), (1.0, 0.0)])
def test_design__of_impossible_shares__is_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"shares|arms"):
        Design(shares=shares)
