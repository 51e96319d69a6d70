"""Did the arms get what the split promised?"""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.srm import Mismatch, Phase, check_split, leaked_units, log_e_value

EVEN = (1.0, 1.0)


def found(*phases: Phase) -> Mismatch:
    result = check_split(phases)
    assert isinstance(result, Mismatch), result
    return result


def test_split__of_one_phase__is_scipys_chi_square() -> None:
    oracle = stats.chisquare([821_588, 815_482])  # Kohavi, Tang, Xu (2020), chapter 3
    mismatch = found(Phase(EVEN, (821_588, 815_482)))
    assert mismatch.p_value == pytest.approx(oracle.pvalue)
    assert mismatch.p_value == pytest.approx(1.8e-6, rel=0.05)
    assert mismatch.alarm


def test_split__of_ramps__joins_phases_and_not_their_sums() -> None:
    ramp = [Phase((95, 5), (9500, 500)), Phase((80, 20), (8000, 2000)), Phase(EVEN, (500, 500))]
    mismatch = found(*ramp)
    assert (mismatch.statistic, mismatch.degrees, mismatch.p_value) == (0.0, 3, 1.0)


def test_split__of_a_phase_with_few_units__leaves_it_out() -> None:
    mismatch = found(Phase(EVEN, (3, 4)), Phase(EVEN, (100, 120)))
    assert (mismatch.degrees, mismatch.phases_left_out) == (1, 1)
    assert isinstance(check_split([Phase(EVEN, (3, 4))]), NotComputable)


def test_arm_without_weight__with_units__leaks_and_does_not_count() -> None:
    phase = Phase((50, 50, 0), (100, 110, 2))
    assert leaked_units([phase]) == 2
    assert found(phase).degrees == 1


@given(st.lists(st.integers(0, 2), max_size=60))
def test_e_value__unit_by_unit__is_the_product_of_its_bets(arms: list[int]) -> None:
    weights, k = (0.5, 0.3, 0.2), 40.0
    counts, log = [0, 0, 0], 0.0
    for seen, arm in enumerate(arms):
        log += math.log((k * weights[arm] + counts[arm]) / (k + seen) / weights[arm])
        counts[arm] += 1
    joined = log_e_value([Phase(weights, (counts[0], counts[1], counts[2]))], k)
    assert joined == pytest.approx(log, abs=1e-8)


def test_e_value__of_a_mismatch__passes_its_limit_and_of_none_does_not() -> None:
    assert log_e_value([Phase(EVEN, (821_588, 815_482))]) > math.log(1000)
    assert log_e_value([Phase(EVEN, (818_535, 818_535))]) < 0
    assert log_e_value([]) == 0


def test_phases__of_one_split__add_up() -> None:
    assert Phase(EVEN, (1, 2)) + Phase(EVEN, (3, 4)) == Phase(EVEN, (4, 6))
    with pytest.raises(ValueError, match="same split"):
        Phase(EVEN, (1, 2)) + Phase((1, 2), (3, 4))


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0), (1.0,)])
def test_phase__that_promises_nothing__is_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Phase(weights, (1, 1))
