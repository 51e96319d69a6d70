"""What may be looked at all the time, looked at all the time. Seeded."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from apps.experiments.stats.comparison import Alternative, Comparison, Hypothesis, compare
from apps.experiments.stats.design import Baseline, Design, SampleSize, sample_size
from apps.experiments.stats.estimates import Estimate
from apps.experiments.stats.sequential import compare_sequentially
from apps.experiments.stats.srm import Mismatch, Phase, check_split, log_e_value
from tests.experiments.stats.shares import is_at_most, is_near, share

pytestmark = pytest.mark.proof
DAYS, DAILY, RUNS = 30, 200, 2_000
Array = NDArray[np.float64]
Draw = Callable[[Generator], Array]
TWO, ONE = Hypothesis(), Hypothesis(alternative=Alternative.BETTER)


def bernoulli(rng: Generator) -> Array:
    return (rng.random(DAYS * DAILY) < 0.1).astype(float)


def lognormal(rng: Generator) -> Array:
    return rng.lognormal(0, 1, DAYS * DAILY)


def daily(values: Array) -> list[Estimate]:
    """The arm's estimate at the end of each day."""
    ends = np.arange(1, DAYS + 1) * DAILY
    sums, squares = np.cumsum(values)[ends - 1], np.cumsum(values**2)[ends - 1]
    means = sums / ends
    variances = (squares / ends - means**2) / (ends - 1)
    return [
        Estimate(value=float(m), variance=float(v), units=int(n), degrees=float(n - 1))
        for m, v, n in zip(means, variances, ends, strict=True)
    ]


def ever_shown(control: Array, treatment: Array, hypothesis: Hypothesis) -> bool:
    """Whether any daily look at the confidence sequence shows a difference."""
    for a, b in zip(daily(control), daily(treatment), strict=True):
        found = compare_sequentially(a, b, hypothesis, sharpest_at=2 * DAYS * DAILY)
        if isinstance(found, Comparison) and found.p_value < hypothesis.alpha:
            return True
    return False


@pytest.mark.parametrize("hypothesis", [TWO, ONE], ids=["two_sided", "one_sided"])
@pytest.mark.parametrize("draw", [bernoulli, lognormal])
def test_sequence__looked_at_on_thirty_days__keeps_its_level(
    draw: Draw, hypothesis: Hypothesis
) -> None:
    rng = np.random.default_rng(30)
    found = [ever_shown(draw(rng), draw(rng), hypothesis) for _ in range(RUNS)]
    name = f"sequence_false_positives_{draw.__name__}_{hypothesis.alternative}"
    assert is_at_most(name, found, 0.05)


def test_fixed_interval__looked_at_on_thirty_days__does_not() -> None:
    rng = np.random.default_rng(31)
    found = []
    for _ in range(500):
        looks = zip(daily(lognormal(rng)), daily(lognormal(rng)), strict=True)
        shown = [compare(a, b) for a, b in looks]
        found.append(any(isinstance(one, Comparison) and one.p_value < 0.05 for one in shown))
    rate, _ = share("fixed_looked_at_daily", found)
    assert rate > 0.2


def test_sequence__at_all_looks__holds_the_truth() -> None:
    rng = np.random.default_rng(32)
    missed = []
    for _ in range(1000):
        looks = zip(daily(lognormal(rng)), daily(lognormal(rng) + 0.3), strict=True)
        found = [compare_sequentially(a, b, sharpest_at=2 * DAYS * DAILY) for a, b in looks]
        bounds = [(one.low, one.high) for one in found if isinstance(one, Comparison)]
        missed.append(any(not low <= 0.3 <= high for low, high in bounds))
    assert is_at_most("sequence_misses_truth_ever", missed, 0.05)


def test_sequential_design__run_to_its_end__has_its_power() -> None:
    size = sample_size(Baseline(mean=0, variance=1), 0.1, Design(sequential=True))
    assert isinstance(size, SampleSize)
    rng = np.random.default_rng(33)
    units = size.per_arm[0]
    error = math.sqrt(1 / units)
    arms = rng.normal([0.0, 0.1], error, (RUNS, 2))
    found = []
    for a, b in arms.tolist():
        one, other = (Estimate(value=x, variance=1 / units, units=units) for x in (a, b))
        shown = compare_sequentially(one, other, sharpest_at=size.total)
        found.append(isinstance(shown, Comparison) and shown.p_value < 0.05)
    assert is_near("power_sequential_at_the_end", found, 0.8)


RAMP = ((0.95, 0.05), (0.8, 0.2), (0.5, 0.5))


def ramp(rng: Generator, units: int) -> list[Phase]:
    return [
        Phase(weights, tuple(int(n) for n in rng.multinomial(units, weights))) for weights in RAMP
    ]


@pytest.mark.parametrize("level", [0.05, 0.001])
def test_split__under_a_ramp__alarms_at_its_level(level: float) -> None:
    rng = np.random.default_rng(34)
    found = []
    for _ in range(20_000):
        mismatch = check_split(ramp(rng, 3000))
        found.append(isinstance(mismatch, Mismatch) and mismatch.p_value < level)
    assert is_near(f"srm_alarms_at_{level}", found, level)


def watched(rng: Generator, actual: tuple[float, float], alpha: float) -> bool:
    """Whether the e-value ever passes 1 / alpha over a ramp looked at after every 200 units."""
    done: list[Phase] = []
    for number, weights in enumerate(RAMP):
        shares = actual if number == len(RAMP) - 1 else weights
        phase = Phase(weights, (0, 0))
        for _ in range(50):
            first = int(rng.binomial(200, shares[0]))
            phase = phase + Phase(weights, (first, 200 - first))
            if log_e_value([*done, phase]) >= -math.log(alpha):
                return True
        done.append(phase)
    return False


def test_e_value__watched_through_a_ramp__keeps_its_level_and_finds_faults() -> None:
    rng = np.random.default_rng(35)
    alarms = [watched(rng, (0.5, 0.5), 0.05) for _ in range(RUNS)]
    found = [watched(rng, (0.45, 0.55), 0.001) for _ in range(300)]
    assert is_at_most("srm_watched_false_alarms_at_0.05", alarms, 0.05)
    rate, _ = share("srm_watched_finds_45_55", found)
    assert rate > 0.95
