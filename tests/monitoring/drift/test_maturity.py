"""Label delay against published survival figures and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.maturity import Maturity, maturity

AGES = st.lists(st.integers(0, 50), max_size=30)


def of(came: list[int], waiting: list[int]) -> Maturity:
    return maturity(np.array(came, dtype=np.float64), np.array(waiting, dtype=np.float64))


def test_maturity__remission_under_6_mp__as_published() -> None:
    # Freireich et al. 1963, 21 patients, weeks; Kaplan-Meier and Greenwood in Kleinbaum, Klein.
    found = of([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
    assert found.ages.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert 1 - found.arrived == pytest.approx(
        [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], abs=5e-5
    )
    assert found.errors == pytest.approx(
        [0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], abs=5e-5
    )


@given(AGES.filter(bool), AGES)
def test_maturity__any_delays__scipys_survival(came: list[int], waiting: list[int]) -> None:
    found = of(came, waiting)
    expected = stats.ecdf(stats.CensoredData(uncensored=came, right=waiting)).sf
    points = np.arange(51.0)
    assert 1 - found.share(points) == pytest.approx(expected.evaluate(points), abs=1e-9)


def test_maturity__nothing_waits__the_plain_shares() -> None:
    found = of([1, 2, 2, 4], [])
    assert found.share(np.array([0.5, 1, 2, 3, 4, 9])).tolist() == [0, 0.25, 0.75, 0.75, 1, 1]
    assert found.error(np.array([0.5, 4])).tolist() == [0, 0]
    assert (found.ever, found.watched) == (1, 4)
    assert found.age_of(0.5) == 2


def test_maturity__of_a_window__share_of_what_will_come() -> None:
    found = of([1, 3], [5, 5])
    assert found.ever == 0.5
    assert found.window(np.array([2.0, 2.0, 4.0, 4.0])) == pytest.approx(0.75)
    assert found.window(np.array([4.0, 5.0])) == 1
    assert found.window(np.array([])) == NotComputable("there are no predictions in the window")


def test_maturity__no_label_yet__nobody_knows() -> None:
    found = of([], [3, 4])
    assert isinstance(found.window(np.array([3.0])), NotComputable)
    assert isinstance(found.age_of(0.9), NotComputable)
    assert found.watched == 4


def test_maturity__negative_delay__refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        of([-1], [])
