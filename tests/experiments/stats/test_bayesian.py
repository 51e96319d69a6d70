"""Posteriors, held against exact sums and known integrals."""

import math

import numpy as np
import pytest
from scipy import special, stats

from apps.experiments.stats.bayesian import (
    BetaPrior,
    NormalPrior,
    Posterior,
    beta_posterior,
    normal_posterior,
)
from apps.experiments.stats.comparison import Direction
from apps.experiments.stats.computable import NotComputable
from apps.experiments.stats.moments import Proportion


def computed(found: Posterior | NotComputable) -> Posterior:
    assert isinstance(found, Posterior), found
    return found


def exact_chance(a: Proportion, b: Proportion) -> float:
    """P(B > A) under Beta(1, 1), the sum of Miller (2014)."""
    wins, fails = 1 + b.successes, 1 + b.units - b.successes
    own, other = 1 + a.successes, 1 + a.units - a.successes
    i = np.arange(wins)
    logs = special.betaln(own + i, fails + other) - np.log(fails + i)
    logs -= special.betaln(1 + i, fails) + special.betaln(own, other)
    return float(np.exp(logs).sum())


@pytest.mark.parametrize(
    "arms",
    [
        (Proportion(100, 10), Proportion(100, 15)),
        (Proportion(3, 0), Proportion(4, 1)),
        (Proportion(50, 5), Proportion(200_000, 21_000)),
        (Proportion(200_000, 21_000), Proportion(30, 30)),
        (Proportion(100_000, 3_000), Proportion(100_000, 3_100)),
        (Proportion(5_000, 0), Proportion(5_000, 2)),
    ],
)
def test_beta__any_counts__has_the_exact_chance(arms: tuple[Proportion, Proportion]) -> None:
    found = computed(beta_posterior(*arms))
    assert found.chance_to_beat == pytest.approx(exact_chance(*arms), abs=1e-8)
    # E[max(A - B, 0)] - E[max(B - A, 0)] = E[A] - E[B]
    assert found.loss_if_kept - found.loss_if_shipped == pytest.approx(found.mean, abs=1e-9)


def test_beta__expected_loss__is_its_closed_form() -> None:
    a, b = Proportion(100, 10), Proportion(120, 15)
    mean_a, mean_b = 11 / 102, 16 / 122
    # E[A; A > B] = E[A] P(A' > B) where A' has one success more.
    a_won, b_won = Proportion(101, 11), Proportion(121, 16)
    closed = mean_a * exact_chance(b, a_won) - mean_b * (1 - exact_chance(a, b_won))
    assert computed(beta_posterior(a, b)).loss_if_shipped == pytest.approx(closed, abs=1e-10)


def test_beta__interval__holds_its_share_of_draws() -> None:
    found = computed(beta_posterior(Proportion(40, 4), Proportion(60, 12), credibility=0.9))
    rng = np.random.default_rng(3)
    draws = rng.beta(13, 49, 400_000) - rng.beta(5, 37, 400_000)
    assert (draws < found.low).mean() == pytest.approx(0.05, abs=0.0015)
    assert (draws > found.high).mean() == pytest.approx(0.05, abs=0.0015)


def test_beta__where_lower_is_better__mirrors() -> None:
    a, b = Proportion(100, 10), Proportion(100, 15)
    up = computed(beta_posterior(a, b))
    down = computed(beta_posterior(a, b, direction=Direction.LOWER))
    assert up.chance_to_beat + down.chance_to_beat == pytest.approx(1)
    assert (up.loss_if_shipped, up.loss_if_kept) == (down.loss_if_kept, down.loss_if_shipped)


def test_beta__strong_prior__outweighs_few_units() -> None:
    prior = BetaPrior(a=1000, b=9000)
    assert (
        abs(computed(beta_posterior(Proportion(9, 0), Proportion(9, 9), prior=prior)).mean) < 2e-3
    )


def test_normal__flat_prior__is_the_sampling_distribution() -> None:
    found = computed(normal_posterior(0.02, 0.01**2))
    assert found.chance_to_beat == pytest.approx(stats.norm.cdf(2))
    assert (found.low, found.high) == pytest.approx((0.02 - 0.0195996, 0.02 + 0.0195996), abs=1e-7)


def test_normal__prior__pulls_by_its_precision() -> None:
    found = computed(normal_posterior(0.1, 0.04, prior=NormalPrior(mean=0, deviation=0.2)))
    assert found.mean == pytest.approx(0.05)
    assert found.high - found.mean == pytest.approx(1.959964 * math.sqrt(0.02), rel=1e-6)


def test_normal__losses__are_their_integrals() -> None:
    found = computed(normal_posterior(0.5, 1.0))
    x = np.linspace(-12, 12, 200_001)
    density = stats.norm.pdf(x, 0.5, 1.0) * (x[1] - x[0])
    assert found.loss_if_shipped == pytest.approx((np.maximum(-x, 0) * density).sum(), rel=1e-6)
    assert found.loss_if_kept == pytest.approx((np.maximum(x, 0) * density).sum(), rel=1e-6)


def test_posteriors__without_anything_to_go_by__are_not_computable() -> None:
    assert isinstance(beta_posterior(Proportion(), Proportion(3, 1)), NotComputable)
    assert isinstance(normal_posterior(0.1, 0.0), NotComputable)
