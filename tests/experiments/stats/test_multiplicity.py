"""Holm and Benjamini-Hochberg, held against statsmodels and the published example."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.multiplicity import Correction, adjusted
from tests.experiments.stats.oracles import multipletests

ORACLES = {Correction.HOLM: "holm", Correction.BENJAMINI_HOCHBERG: "fdr_bh"}
# Benjamini and Hochberg (1995), section 4: thrombolysis after myocardial infarction.
PUBLISHED = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
    0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


def findings(correction: Correction) -> int:
    return sum(isinstance(p, float) and p <= 0.05 for p in adjusted(PUBLISHED, correction))


def test_published__goals__are_found_as_published() -> None:
    assert findings(Correction.BENJAMINI_HOCHBERG) == 4
    assert findings(Correction.HOLM) == 3
    assert findings(Correction.NONE) == 9


@pytest.mark.parametrize("correction", ORACLES)
@settings(max_examples=8)  # Holm's oracle collects garbage at each call
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted__any__are_statsmodels(correction: Correction, values: list[float]) -> None:
    oracle = multipletests(values, method=ORACLES[correction])[1]
    assert adjusted(values, correction) == pytest.approx(oracle.tolist(), rel=1e-12)


@pytest.mark.parametrize("correction", ORACLES)
def test_adjusted__not_computable__stays_so_and_counts(correction: Correction) -> None:
    reason = NotComputable("no units yet")
    found = adjusted([0.01, reason], correction)
    assert found == [pytest.approx(0.02), reason]


def test_adjusted__impossible__is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjusted([1.5], Correction.HOLM)
