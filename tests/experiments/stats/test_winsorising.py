"""A few units do not dominate, and every arm is cut alike."""

import numpy as np
import pytest

from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.winsorising import Limits, limits_of


def test_limits__at_quantiles_of_all__are_applied_to_each() -> None:
    limits = limits_of(np.arange(101.0), low=0.05, high=0.95)
    assert isinstance(limits, Limits)
    assert (limits.low, limits.high) == (5, 95)
    assert limits.apply([-3.0, 50.0, 1e6]).tolist() == [5, 50, 95]
    assert limits.touched([-3.0, 50.0, 1e6]) == 2


def test_limits__of_those_who_paid__pass_over_zeros() -> None:
    amounts = [0.0] * 990 + [10.0] * 9 + [1000.0]
    assert isinstance(limits_of(amounts, high=0.5), NotComputable)
    limits = limits_of(amounts, high=0.9, of_nonzero=True)
    assert isinstance(limits, Limits)
    assert limits.high == pytest.approx(109)


def test_limits__of_nothing__are_not_computable() -> None:
    assert isinstance(limits_of([]), NotComputable)


def test_limits__crossed__are_refused() -> None:
    with pytest.raises(ValueError, match="below"):
        Limits(low=2, high=1)
