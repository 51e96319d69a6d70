"""Scores on samples, where the rows themselves are at hand: exact, and judged by permutation.

Under no drift the rows of both sides are exchangeable, so dealing them out anew gives the law of
any score, for any distribution and for few rows.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp

from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.report import Score
from serving.arrays import Floats

PERMUTATIONS = 999
AT_ONCE = 2_000_000


@dataclass(frozen=True)
class SampleScores:
    """Kolmogorov-Smirnov and Wasserstein's distance (in the feature's unit) of two samples."""

    kolmogorov_smirnov: Score
    wasserstein: Score


def sample_scores(
    reference: Floats,
    current: Floats,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> SampleScores | NotComputable:
    """Both scores of samples `[n]` and `[m]`; what is not finite is left out.

    p of KS is exact up to 10,000 rows a side and its limit above (Hodges 1958, as scipy has it);
    that of Wasserstein is (1 + permutations at least as large) / (1 + permutations).
    """
    one, two = reference[np.isfinite(reference)], current[np.isfinite(current)]
    if not one.size or not two.size:
        return NotComputable("a side of the comparison has no values")
    order, gaps = _pooled(one, two)
    held = np.zeros(order.size, dtype=np.bool_)
    held[one.size :] = True
    ks, moved = _distances(held[order][None], gaps, two.size)
    null_ks, null_moved = _permuted(one.size, two.size, gaps, rng, permutations)
    p = (1 + np.count_nonzero(null_moved >= moved[0] - 1e-12)) / (1 + permutations)
    return SampleScores(
        Score(float(ks[0]), float(null_ks.mean()), float(null_ks.std()), _exact(one, two)),
        Score(float(moved[0]), float(null_moved.mean()), float(null_moved.std()), float(p)),
    )


def _pooled(one: Floats, two: Floats) -> tuple[np.ndarray, Floats]:
    """The order of all values, and the gaps between neighbours."""
    both = np.concatenate([one, two])
    order = np.argsort(both, kind="stable")
    return order, np.diff(both[order])


def _distances(held: np.ndarray, gaps: Floats, m: int) -> tuple[Floats, Floats]:
    """KS and Wasserstein `[draws]` of who holds the sorted values, `held` `[draws, n + m]`.

    Steps inside a tie have no gap and are looked at by neither.
    """
    n = held.shape[1] - m
    taken = np.cumsum(held, axis=1, dtype=np.int64)[:, :-1]
    steps = np.abs(taken / m - (np.arange(1, n + m) - taken) / n)
    largest = np.max(steps, axis=1, where=gaps > 0, initial=0.0)
    return np.asarray(largest, dtype=np.float64), np.asarray(steps @ gaps, dtype=np.float64)


def _permuted(
    n: int, m: int, gaps: Floats, rng: np.random.Generator, permutations: int
) -> tuple[Floats, Floats]:
    held = np.arange(n + m) >= n
    batch = max(1, AT_ONCE // (n + m))
    parts = [
        _distances(
            rng.permuted(np.tile(held, (min(batch, permutations - start), 1)), axis=1), gaps, m
        )
        for start in range(0, permutations, batch)
    ]
    ks, moved = (np.concatenate(column) for column in zip(*parts, strict=True))
    return ks, moved


def _exact(one: Floats, two: Floats) -> float:
    with warnings.catch_warnings():
        # scipy says when it takes the limit instead, which it may for a handful of rows.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ks_2samp(one, two).pvalue)
