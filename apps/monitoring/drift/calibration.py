"""Scores made into probabilities by isotonic regression on reference labels.

The non-decreasing function nearest to the labels in squares (pool adjacent violators; Ayer et al.
1955; Zadrozny, Elkan 2002). Between the scores that it was fitted on it is interpolated linearly,
outside it keeps its ends.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from serving.arrays import Flags, Floats


@dataclass(frozen=True, eq=False)
class Calibrator:
    """A non-decreasing map through (`scores`, `probabilities`), both rising `[knots]`."""

    scores: Floats
    probabilities: Floats

    def __call__(self, scores: Floats) -> Floats:
        """Probabilities `[rows]` of scores `[rows]`."""
        return np.asarray(np.interp(scores, self.scores, self.probabilities), dtype=np.float64)


def fit_isotonic(scores: Floats, labels: Flags) -> Calibrator:
    """The calibrator of scores `[rows]` whose `labels` `[rows]` are known.

    Equal scores count as one, with the share of their labels. Raises ValueError without rows or
    for a score that is not finite.
    """
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError("calibration needs rows, and scores that are finite")
    knots, groups, weights = np.unique(scores, return_inverse=True, return_counts=True)
    shares = np.bincount(groups, labels) / weights
    fitted = np.asarray(isotonic_regression(shares, weights=weights).x, dtype=np.float64)
    # Of a level stretch the two ends say everything.
    level = np.zeros(len(knots), dtype=np.bool_)
    level[1:-1] = (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:])
    return Calibrator(knots[~level], np.clip(fitted[~level], 0.0, 1.0))
