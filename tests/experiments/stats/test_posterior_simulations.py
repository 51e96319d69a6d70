"""Quantiles of clustered events and posteriors hold what they claim to hold. Seeded."""

import numpy as np
import pytest
from numpy.random import Generator
from scipy import stats

from apps.experiments.stats.bayesian import (
    NormalPrior,
    Posterior,
    beta_posterior,
    normal_posterior,
)
from apps.experiments.stats.comparison import Comparison, compare
from apps.experiments.stats.moments import Proportion
from apps.experiments.stats.quantiles import (
    ClusteredCounts,
    Quantile,
    logarithmic_edges,
    quantile,
)
from tests.experiments.stats.shares import is_near, share

pytestmark = pytest.mark.proof
EDGES = logarithmic_edges(1.0, 1e5, 0.005)
RUNS = 2_000


def latencies(rng: Generator, units: int) -> ClusteredCounts:
    """Log-normal milliseconds of 1 to many requests a unit; half the log variance is the unit's."""
    sizes = rng.poisson(rng.gamma(1, 4, units)) + 1
    own = np.repeat(rng.normal(0, 0.5, units), sizes)
    values = np.exp(4 + own + rng.normal(0, 0.5, sizes.sum()))
    return ClusteredCounts.of(np.repeat(np.arange(units), sizes), values, EDGES)


def outer(counts: ClusteredCounts, q: float) -> Quantile:
    found = quantile(counts, q)
    assert isinstance(found, Quantile), found
    return found


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_outer_interval__of_clustered_latency__holds_the_truth(q: float) -> None:
    rng = np.random.default_rng(40)
    truth = float(np.exp(4 + stats.norm.ppf(q) * np.sqrt(0.5)))
    found = [outer(latencies(rng, 1000), q) for _ in range(RUNS)]
    held = (one.low <= truth <= one.high for one in found)
    assert is_near(f"coverage_quantile_{q}", held, 0.95)


def test_quantiles__of_arms_that_are_the_same__differ_in_one_of_twenty() -> None:
    rng = np.random.default_rng(41)
    found = []
    for _ in range(RUNS):
        control, treatment = (outer(latencies(rng, 1000), 0.9).estimate for _ in range(2))
        compared = compare(control, treatment)
        found.append(isinstance(compared, Comparison) and compared.p_value < 0.05)
    assert is_near("false_positives_quantile_0.9", found, 0.05)


def test_independent_interval__of_clustered_latency__would_not() -> None:
    rng = np.random.default_rng(42)
    truth = float(np.exp(4))
    held = []
    for _ in range(300):
        counts = latencies(rng, 1000)
        events = counts.events
        shares = np.asarray(counts.below) / events
        half = 1.96 * np.sqrt(0.25 / events)
        low, high = np.interp([0.5 - half, 0.5 + half], shares, counts.edges)
        held.append(low <= truth <= high)
    rate, _ = share("coverage_quantile_if_taken_for_independent", held)
    assert rate < 0.85


def test_normal__truths_drawn_from_the_prior__are_as_believed() -> None:
    rng = np.random.default_rng(43)
    prior = NormalPrior(mean=0.01, deviation=0.02)
    truths = rng.normal(prior.mean, prior.deviation, 10_000)
    held, gaps = [], []
    for truth, seen in zip(truths, rng.normal(truths, 0.03), strict=True):
        found = normal_posterior(float(seen), 0.03**2, prior=prior)
        assert isinstance(found, Posterior)
        held.append(found.low <= truth <= found.high)
        gaps.append((truth > 0) - found.chance_to_beat)
    assert is_near("credible_normal", held, 0.95)
    assert abs(np.mean(gaps)) <= 3 * np.std(gaps) / np.sqrt(len(gaps))


def test_beta__truths_drawn_from_the_prior__are_as_believed() -> None:
    rng = np.random.default_rng(44)
    held, gaps, losses = [], [], []
    for a, b in rng.random((500, 2)):
        arms = Proportion(40, int(rng.binomial(40, a))), Proportion(90, int(rng.binomial(90, b)))
        found = beta_posterior(*arms)
        assert isinstance(found, Posterior)
        held.append(found.low <= b - a <= found.high)
        gaps.append((b > a) - found.chance_to_beat)
        losses.append(max(a - b, 0) - found.loss_if_shipped)
    assert is_near("credible_beta", held, 0.95)
    for name, one in (("chance", gaps), ("loss", losses)):
        assert abs(np.mean(one)) <= 3 * np.std(one) / np.sqrt(len(one)), name
