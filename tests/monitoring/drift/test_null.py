"""What the engine promises when nothing drifts, by seeded simulation.

Tolerances are four standard errors of the simulation itself, plus, where a law is asymptotic, the
stated share of its error.
"""

import math

import numpy as np
import pytest
from scipy.stats import chi2

from apps.monitoring.drift import scores
from apps.monitoring.drift.budget import Thresholds, thresholds
from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.estimation import FIGURES, Estimator, fit_estimator, performance
from apps.monitoring.drift.null import Scores, calibrate
from apps.monitoring.drift.report import Bands, Reference, Report, report
from serving.arrays import Counts, Floats
from serving.bins import numeric_bins
from serving.profile import Layout, Profile
from tests.monitoring.drift.test_estimation import world

pytestmark = pytest.mark.proof
RUNS = 400
FEATURES = 50
DRAWN = 4.0


def allowed(share: float, trials: int) -> float:
    """Four standard errors of a share of so many trials."""
    return DRAWN * math.sqrt(share * (1 - share) / trials)


@pytest.mark.parametrize(("n", "m"), [(2_000, 5_000), (10_000, 500)])
def test_psi_and_js__quantile_bins_of_the_sample_itself__mean_and_95th_as_promised(
    n: int, m: int
) -> None:
    rng = np.random.default_rng(1)
    drawn = np.array([_psi_and_js(rng, n, m) for _ in range(4_000)])
    c = 1 / n + 1 / m
    for values, scale in zip(drawn.T, (c, c / 8), strict=True):
        print(f"{n=} {m=} mean={values.mean():.6f} p95={np.quantile(values, 0.95):.6f}", end=" ")
        print(f"promised {9 * scale:.6f} {16.919 * scale:.6f}")
        assert values.mean() == pytest.approx(
            9 * scale, rel=DRAWN * math.sqrt(2 / 9 / 4_000) + 0.02
        )
        above = (values > 16.919 * scale).mean()
        assert above == pytest.approx(0.05, abs=allowed(0.05, 4_000) + 0.005)


def _psi_and_js(rng: np.random.Generator, n: int, m: int) -> tuple[float, float]:
    reference, current = rng.standard_normal(n), rng.standard_normal(m)
    layout = Layout.of({"x": numeric_bins(reference)})
    p, q = (Profile.of(layout, {"x": side}).counts for side in (reference, current))
    return float(scores.psi(p, q)[0]), float(scores.jensen_shannon(p, q)[0])


class World:
    """Fifty independent features that never drift: ten uneven bins each, drawn as counts."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.shares = self.rng.dirichlet(np.full(10, 5.0), FEATURES)
        bins = numeric_bins(np.arange(1_000.0))
        self.layout = Layout.of({f"x{number}": bins for number in range(FEATURES)})
        self.laws = calibrate(self.profile(1_000_000))

    def profile(self, rows: int) -> Profile:
        """A profile of that many rows; moments as if each row lay at its bin's place."""
        counts = self.rng.multinomial(rows, self.shares)
        bins = numeric_bins(np.arange(1_000.0))
        places = np.array(bins.places) - bins.centre
        none = np.zeros(FEATURES, dtype=np.int64)
        return Profile(
            self.layout, counts, none, none, none + rows, counts @ places, counts @ places**2
        )

    def report(self, n: int, m: int, bands: Bands) -> Report:
        """A report of a fresh reference and a fresh window."""
        return report(Reference(self.profile(n), self.laws), self.profile(m), bands)


LAWS = (
    "psi",
    "jensen_shannon",
    "hellinger",
    "chi_square",
    "kolmogorov_smirnov",
    "wasserstein",
    "l_infinity",
    "mean_shift",
)


def test_scores__no_drift__as_expected_as_they_say() -> None:
    here = World(2)
    found = [here.report(5_000, 2_000, Bands()).scores for _ in range(RUNS)]
    for name in LAWS:
        one = [run[name] for run in found]
        _check_law(name, one)


def _check_law(name: str, runs: list[Scores]) -> None:
    value = np.array([run.value for run in runs])
    expected, spread = runs[0].expected, np.array([run.spread for run in runs])
    ratio, z = value.mean() / np.mean([run.expected for run in runs]), value.std(axis=0)
    share = np.mean([run.p <= 0.05 for run in runs])
    print(
        f"{name:20} value/expected={ratio:.4f} spread={(z / spread.mean(axis=0)).mean():.3f}",
        end=" ",
    )
    print(f"p<=.05: {share:.4f} p<=.005: {np.mean([run.p <= 0.005 for run in runs]):.5f}")
    error = DRAWN * float(spread.mean() / expected.mean()) / math.sqrt(value.size)
    assert ratio == pytest.approx(1, abs=error + 0.015)
    assert share == pytest.approx(0.05, abs=allowed(0.05, value.size) + 0.003)


@pytest.mark.parametrize("m", [150, 500, 5_000])
def test_verdict__fifty_features_without_drift__false_alarms_rarer_than_alpha(m: int) -> None:
    here = World(3)
    reports = [here.report(20_000, m, Bands()) for _ in range(2_000)]
    alarmed = np.mean([bool(one.drifted) for one in reports])
    known = np.mean([(one.levels >= 0).mean() for one in reports])
    bare = np.mean([(one.scores["psi"].value > 0.1).any() for one in reports])
    tests = np.mean([(one.scores["psi"].p <= 0.05).any() for one in reports])
    print(f"{m=} {alarmed=:.4f} {known=:.2f} by PSI > .1 alone {bare:.4f}, by p < .05 {tests:.4f}")
    assert alarmed <= 0.05 + allowed(0.05, 2_000)
    assert known == 1


@pytest.mark.parametrize(("m", "least"), [(200, 0.8), (1_000, 0.99)])
def test_verdict__one_of_fifty_moves_by_a_psi_of_a_quarter__only_that_one(
    m: int, least: float
) -> None:
    here = World(7)
    moved = here.shares[0] * np.exp(0.5 * np.resize([1.0, -1.0], 10))
    moved /= moved.sum()
    true = float(((moved - here.shares[0]) * np.log(moved / here.shares[0])).sum())
    found, others, estimates = [], [], []
    for _ in range(RUNS):
        before, now = here.profile(20_000), here.profile(m)
        now.counts[0] = here.rng.multinomial(m, moved)
        one = report(Reference(before, here.laws), now)
        found.append("x0" in one.drifted)
        others.append(len(one.drifted) > found[-1])
        estimates.append(one.scores["psi"].excess[0])
    print(f"{m=} {true=:.3f} excess={np.mean(estimates):.3f}", end=" ")
    print(f"found={np.mean(found):.3f} others={np.mean(others):.4f}")
    assert np.mean(found) >= least
    assert np.mean(others) <= 0.05 + allowed(0.05, RUNS)


def test_verdict__evidence_alone__keeps_the_false_discovery_rate() -> None:
    here = World(4)
    bare = Bands(psi=(0.0, 0.0), mean_shift=(0.0, 0.0))
    # With bands at 0 nothing is ever "enough rows": levels above none still count.
    alarmed = np.mean([bool(here.report(20_000, 2_000, bare).drifted) for _ in range(RUNS)])
    print(f"with evidence alone, reports with a false alarm: {alarmed:.4f}")
    assert alarmed <= 0.05 + allowed(0.05, RUNS) + 0.01


@pytest.mark.parametrize(
    ("per_report", "reports", "past"), [(1, 720, 1_440), (6, 120, 1_440)], ids=["hours", "quarters"]
)
def test_thresholds__windows_that_differ_by_nature__budget_kept(
    per_report: int, reports: int, past: int
) -> None:
    rng = np.random.default_rng(5)
    months = [_month(rng, per_report, reports, past) for _ in range(200)]
    alarms, by_sampling = np.array(months, dtype=np.float64).T
    error = DRAWN * alarms.std() / math.sqrt(len(months))
    print(f"{per_report=} alarms a month {alarms.mean():.2f} +- {error / DRAWN:.2f}", end=" ")
    print(f"by the sampling law {by_sampling.mean():.1f}")
    assert alarms.mean() <= 1 + error
    assert alarms.mean() >= 0.3


def _month(rng: np.random.Generator, per_report: int, reports: int, past: int) -> tuple[int, int]:
    """False alarms of a month with a budget of one: by replay; by the law of sampling alone."""
    shares = rng.dirichlet(np.full(8, 8.0), 5)
    before = _restless(rng, shares, past)
    found = thresholds(
        before, per_report=per_report, reports_a_month=reports, budget=1, rng=rng, replays=1_500
    )
    assert isinstance(found, Thresholds)
    now = _restless(rng, shares, reports * per_report)
    current = now.reshape(reports, per_report, *shares.shape).sum(axis=1)
    reference = before.sum(axis=0)
    psi = scores.psi(reference, current)
    c = scores.sampling(reference, current)
    naive = (psi / c > chi2.isf(1 / reports / 5, 7)).any(axis=-1)
    return sum(found.alarms(row) for row in psi), int(naive.sum())


def _restless(rng: np.random.Generator, shares: Floats, windows: int) -> Counts:
    """Windows of 500 rows whose shares move by about a tenth of themselves from one to another."""
    moved = shares * np.exp(0.1 * rng.standard_normal((windows, *shares.shape)))
    return rng.multinomial(500, moved / moved.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("centre", "spread"),
    [(0.0, 1.5), (1.0, 1.5), (0.0, 0.5), (1.0, 0.7)],
    ids=["alike", "moved", "harder", "moved and narrower"],
)
def test_estimate__chunks_of_a_thousand__real_figures_in_their_bands(
    centre: float, spread: float
) -> None:
    runs = 200
    rng = np.random.default_rng(6)
    held = np.array([_held(rng, rng.normal(centre, spread, 1_000)) for _ in range(runs)])
    print(f"{centre=} {spread=}", dict(zip(FIGURES, held.mean(axis=0).tolist(), strict=True)))
    assert (held.mean(axis=0) >= 0.95 - allowed(0.95, runs)).all()


def _held(rng: np.random.Generator, x: Floats) -> list[bool]:
    """Whether each figure of a chunk at `x` lies in its band; the reference's x is N(0, 1.5^2)."""
    estimator = fit_estimator(*world(rng, 5_000), 0.5)
    assert isinstance(estimator, Estimator)
    scores, labels = 1 / (1 + np.exp(-2 * x)), rng.random(x.size) < 1 / (1 + np.exp(-x))
    found = []
    for figure in FIGURES:
        one = estimator.estimate(scores, figure, rng, draws=100)
        assert not isinstance(one, NotComputable)
        found.append(one.low <= performance(labels.astype(float), scores, 0.5, figure) <= one.high)
    return found
