"""Calibration against scikit-learn, and performance without labels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from apps.monitoring.drift.calibration import fit_isotonic
from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.estimation import FIGURES, Estimator, fit_estimator, performance

ROWS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60)


@given(ROWS)
def test_fit_isotonic__any_rows__scikit_learns(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows]) / 20
    labels = np.array([label for _, label in rows])
    oracle = IsotonicRegression(out_of_bounds="clip").fit(scores, labels.astype(float))
    points = np.linspace(-0.2, 1.2, 29)
    assert fit_isotonic(scores, labels)(points) == pytest.approx(oracle.predict(points), abs=1e-9)


def test_fit_isotonic__violators__pooled_as_by_hand() -> None:
    found = fit_isotonic(np.array([1.0, 2, 3, 4]), np.array([False, True, False, True]))
    assert found(np.array([1.0, 2, 2.5, 3, 3.5, 4])) == pytest.approx([0, 0.5, 0.5, 0.5, 0.75, 1])


def test_fit_isotonic__nothing_or_nan__refused() -> None:
    for scores in (np.array([]), np.array([math.nan])):
        with pytest.raises(ValueError, match="calibration needs"):
            fit_isotonic(scores, np.zeros(scores.size, dtype=np.bool_))


def test_performance__four_rows__as_worked_by_hand() -> None:
    chances, scores = np.array([0.9, 0.6, 0.3, 0.2]), np.array([0.8, 0.7, 0.4, 0.1])
    found = {one: performance(chances, scores, 0.5, one) for one in FIGURES}
    # Called: .9 + .6 right of 2; not called: .7 + .8 right of 2; two positives expected.
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["precision"] == found["recall"] == found["f1"] == pytest.approx(0.75)
    # Pairs won: .9(.4+.7+.8) + .6(.7+.8) + .3 x .8 of 2 x 2 - (.09 + .24 + .21 + .16).
    assert found["auc"] == pytest.approx(2.85 / 3.3)


@given(ROWS)
def test_performance__of_labels__is_the_real_one(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float64)
    labels = np.array([label for _, label in rows], dtype=np.float64)
    real = (labels == (scores >= 10)).mean()
    assert performance(labels, scores, 10, "accuracy") == pytest.approx(real)
    auc = performance(labels, scores, 10, "auc")
    if len(set(labels)) == 2:
        assert auc == pytest.approx(roc_auc_score(labels, scores))
    else:
        assert math.isnan(auc)


def world(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are surer than they may be, and the labels."""
    x = rng.normal(0, 1.5, rows)
    return 1 / (1 + np.exp(-2 * x)), rng.random(rows) < 1 / (1 + np.exp(-x))


def test_estimate__of_another_chunk__has_the_real_accuracy_in_its_band() -> None:
    rng = np.random.default_rng(1)
    estimator = fit_estimator(*world(rng, 4_000), 0.5)
    assert isinstance(estimator, Estimator)
    scores, labels = world(rng, 1_000)
    found = estimator.estimate(scores, "accuracy", rng)
    assert not isinstance(found, NotComputable)
    assert found.low <= (labels == (scores >= 0.5)).mean() <= found.high
    # The scores' own confidence would have claimed far more.
    assert found.high < np.maximum(scores, 1 - scores).mean()


def test_estimate__few_rows_or_one_class__not_computable() -> None:
    rng = np.random.default_rng(1)
    scores, labels = world(rng, 1_000)
    assert isinstance(fit_estimator(scores[:99], labels[:99], 0.5), NotComputable)
    assert isinstance(fit_estimator(scores, labels | True, 0.5), NotComputable)
    estimator = fit_estimator(scores, labels, 0.5)
    assert isinstance(estimator, Estimator)
    assert isinstance(estimator.estimate(scores[:99], "f1", rng), NotComputable)
    assert isinstance(estimator.estimate(0.4 * scores, "precision", rng), NotComputable)
