"""Thresholds by replay, ranking, and scores on samples."""

import numpy as np
import pytest
from scipy import stats

from apps.monitoring.drift import scores
from apps.monitoring.drift.budget import Thresholds, thresholds
from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.ranking import ranking
from apps.monitoring.drift.report import Level, Reference, report
from apps.monitoring.drift.samples import sample_scores
from serving.arrays import Counts
from serving.profile import Profile
from tests.monitoring.drift.worlds import frozen, normal


def quiet_windows(rng: np.random.Generator, windows: int) -> Counts:
    return rng.multinomial(400, np.full(5, 0.2), size=(windows, 3))


def test_thresholds__one_window_a_report__so_many_of_the_past_pass() -> None:
    windows = quiet_windows(np.random.default_rng(1), 99)
    found = thresholds(
        windows, per_report=1, reports_a_month=30, budget=3, rng=np.random.default_rng(2)
    )
    assert isinstance(found, Thresholds)
    passed = [found.alarms(scores.psi(windows.sum(axis=0) - window, window)) for window in windows]
    # k of 99 with (k + 1) / 100 = 3 / 30.
    assert sum(passed) == 9


def test_thresholds__several_windows__smaller_than_of_one_and_the_same_again() -> None:
    windows = quiet_windows(np.random.default_rng(1), 60)

    def found(per_report: int) -> Thresholds:
        made = thresholds(
            windows,
            per_report=per_report,
            reports_a_month=30,
            budget=1,
            rng=np.random.default_rng(2),
            replays=500,
        )
        assert isinstance(made, Thresholds)
        return made

    assert (found(6).values < found(1).values).all()
    assert found(6).values.tolist() == found(6).values.tolist()


def test_thresholds__short_past__does_not_promise() -> None:
    windows = quiet_windows(np.random.default_rng(1), 20)
    found = thresholds(
        windows, per_report=1, reports_a_month=720, budget=1, rng=np.random.default_rng(2)
    )
    assert found == NotComputable("20 past windows cannot tell one false alarm in 720 reports")


def test_thresholds__few_replays__does_not_promise() -> None:
    windows = quiet_windows(np.random.default_rng(1), 60)
    rng = np.random.default_rng(2)
    found = thresholds(windows, per_report=5, reports_a_month=720, budget=1, rng=rng, replays=500)
    assert isinstance(found, NotComputable)


@pytest.mark.parametrize("budget", [0, 30, 40])
def test_thresholds__no_budget_or_all_reports__refused(budget: int) -> None:
    windows = quiet_windows(np.random.default_rng(1), 9)
    with pytest.raises(ValueError, match="budget"):
        thresholds(
            windows,
            per_report=1,
            reports_a_month=30,
            budget=budget,
            rng=np.random.default_rng(2),
        )


def test_ranking__large_drift_of_what_nobody_uses__comes_last() -> None:
    rng = np.random.default_rng(3)
    before = frozen(normal(rng, 5_000, 3))
    moved = normal(rng, 2_000, 3)
    moved["x0"], moved["x1"] = rng.normal(2, 1, 2_000), rng.normal(0.6, 1, 2_000)
    found = report(Reference.freeze(before), Profile.of(before.layout, moved))
    ranked = ranking(found, {"x1": 1.5, "x2": 0.5})
    assert [one.name for one in ranked] == ["x1", "x2", "x0"]
    assert (ranked[0].importance, ranked[0].level) == (0.75, Level.SIGNIFICANT)
    assert ranked[0].effect == pytest.approx(0.75 * found.feature("x1").scores["psi"].excess)
    with pytest.raises(ValueError, match="not negative"):
        ranking(found, {"x1": -1})


def test_sample_scores__two_samples__scipys() -> None:
    rng = np.random.default_rng(4)
    one, two = rng.normal(0, 1, 120), np.round(rng.normal(0.3, 1, 80), 1)
    found = sample_scores(np.append(one, np.nan), two, np.random.default_rng(5))
    assert not isinstance(found, NotComputable)
    expected = stats.ks_2samp(one, two)
    assert found.kolmogorov_smirnov.value == pytest.approx(expected.statistic)
    assert found.kolmogorov_smirnov.p == pytest.approx(expected.pvalue)
    assert found.wasserstein.value == pytest.approx(stats.wasserstein_distance(one, two))


def test_sample_scores__same_values__zero_and_certain() -> None:
    values = np.array([1.0, 1.0, 2.0, 3.0])
    found = sample_scores(values, values, np.random.default_rng(5))
    assert not isinstance(found, NotComputable)
    assert (found.wasserstein.value, found.wasserstein.p) == (0, 1)
    assert (found.kolmogorov_smirnov.value, found.kolmogorov_smirnov.p) == (0, 1)


def test_sample_scores__an_empty_side__not_computable() -> None:
    found = sample_scores(np.array([np.nan]), np.ones(3), np.random.default_rng(5))
    assert found == NotComputable("a side of the comparison has no values")
