"""Performance without labels: confidence-based performance estimation (CBPE).

If p is the chance that a row is positive, a row that is called positive is a true one with chance
p and a false one with 1 - p. Summed over rows that is the expected confusion matrix, and from it
every figure (NannyML, "Confidence-based performance estimation"). The band is what sampling does
to chunks of the reference of the same size, whose labels are known, around their own estimates.

It sees how the model does on other rows of the same world. It is blind to concept drift: if labels
follow from features in another way than they did, nothing here notices. Show that beside it.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from apps.monitoring.drift.calibration import Calibrator, fit_isotonic
from apps.monitoring.drift.computable import Flags, Floats, NotComputable

Figure: TypeAlias = Literal["accuracy", "precision", "recall", "f1", "auc"]
FIGURES: tuple[Figure, ...] = ("accuracy", "precision", "recall", "f1", "auc")
BLIND = "Blind to concept drift: it assumes that labels follow from features as they used to."
FOLDS = 5
CHUNKS = 200
LEAST_ROWS = 100
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """An expected figure of a chunk of `rows`, and the band in which the real one should lie."""

    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, eq=False)
class Estimator:
    """A model's scores on reference rows with labels, and what follows from them.

    `calibrated` `[rows]` are probabilities by calibrators that had not seen the row (`FOLDS`
    folds), so the band has the calibration's own error in it.
    """

    scores: Floats
    labels: Flags
    calibrated: Floats
    calibrator: Calibrator
    threshold: float

    def estimate(
        self, scores: Floats, figure: Figure, rng: np.random.Generator, chunks: int = CHUNKS
    ) -> Estimate | NotComputable:
        """The `figure` of rows with these `scores` `[rows]`, 95 % band."""
        if scores.size < LEAST_ROWS:
            return NotComputable(f"{scores.size} rows of the {LEAST_ROWS} that an estimate needs")
        value = performance(self.calibrator(scores), scores, self.threshold, figure)
        error = self._error(scores.size, figure, rng, chunks)
        if math.isnan(value) or math.isnan(error):
            return NotComputable(f"{figure} is not defined for these rows")
        low, high = max(0.0, value - Z_95 * error), min(1.0, value + Z_95 * error)
        return Estimate(value, low, high, scores.size)

    def _error(self, rows: int, figure: Figure, rng: np.random.Generator, chunks: int) -> float:
        """How far real figures of reference chunks lie from their estimates: root mean square.

        Chunks of at most the reference's size, brought to `rows` by the root law; 1 + rows / n
        adds that the reference is itself a sample.
        """
        n = self.scores.size
        size = min(rows, n)
        errors = []
        for _ in range(chunks):
            drawn = rng.integers(0, n, size)
            scores, labels = self.scores[drawn], self.labels[drawn].astype(np.float64)
            real = performance(labels, scores, self.threshold, figure)
            expected = performance(self.calibrated[drawn], scores, self.threshold, figure)
            errors.append(real - expected)
        square = float(np.mean(np.square(errors)))
        return math.sqrt(square * size / rows * (1 + rows / n))


def fit_estimator(
    scores: Floats, labels: Flags, threshold: float, rng: np.random.Generator
) -> Estimator | NotComputable:
    """An estimator from reference `scores` and `labels` `[rows]` that training never saw.

    A row is called positive at a score of at least `threshold`.
    """
    if scores.size < FOLDS * LEAST_ROWS:
        return NotComputable(
            f"{scores.size} reference rows of the {FOLDS * LEAST_ROWS} that calibration needs"
        )
    if labels.all() or not labels.any():
        return NotComputable("the reference's labels are all the same")
    fold = rng.permutation(scores.size) % FOLDS
    calibrated = np.empty(scores.size)
    for one in range(FOLDS):
        held = fold == one
        calibrated[held] = fit_isotonic(scores[~held], labels[~held])(scores[held])
    return Estimator(scores, labels, calibrated, fit_isotonic(scores, labels), threshold)


def performance(chances: Floats, scores: Floats, threshold: float, figure: Figure) -> float:
    """A figure of rows `[rows]` that are positive with these `chances`; 0 and 1 are labels.

    NaN where it is not defined: precision without a row called positive, recall and AUC without
    chance of a positive (or negative) one.
    """
    if figure == "auc":
        return _auc(chances, scores)
    called = scores >= threshold
    positive, right = float(chances.sum()), float(chances[called].sum())
    calls, rows = int(called.sum()), scores.size
    above, below = {
        "accuracy": (right + (rows - calls) - (positive - right), rows),
        "precision": (right, calls),
        "recall": (right, positive),
        "f1": (2 * right, calls + positive),
    }[figure]
    return above / below if below > 0 else math.nan


def _auc(chances: Floats, scores: Floats) -> float:
    """Mann and Whitney's chance that a positive row outranks a negative one, ties half.

    Each pair of rows counts by the chance that the first is positive and the second is not; a row
    makes no pair with itself.
    """
    positive, own = float(chances.sum()), float(chances @ (1 - chances))
    pairs = positive * (scores.size - positive) - own
    if pairs <= 0:
        return math.nan
    _, groups = np.unique(scores, return_inverse=True)
    negatives = np.bincount(groups, 1 - chances)
    below = np.cumsum(negatives) - negatives
    outranked = chances @ below[groups] + (chances @ negatives[groups] - own) / 2
    return float(outranked / pairs)
