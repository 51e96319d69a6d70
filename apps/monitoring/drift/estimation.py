"""Performance without labels: confidence-based performance estimation (CBPE).

If p is the chance that a row is positive, a row that is called positive is a true one with chance
p and a false one with 1 - p. Summed over rows that is the expected confusion matrix, and from it
every figure (NannyML, "Confidence-based performance estimation"). The band is where the real
figure would lie if the rows' labels were drawn with these chances, widened by the calibration's
own sampling error where the chunk's scores lie. (Bands from the spread of reference chunks, as
NannyML has them, hold for chunks like the reference only: see docs/drift.md.)

It sees how the model does on other rows of the same world. It is blind to concept drift: if labels
follow from features in another way than they did, nothing here notices. Show that beside it.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from apps.monitoring.drift.calibration import Calibrator, fit_isotonic
from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.scores import shares
from serving.arrays import Flags, Floats
from serving.bins import numeric_bins
from serving.profile import Layout, Profile

Figure: TypeAlias = Literal["accuracy", "precision", "recall", "f1", "auc"]
FIGURES: tuple[Figure, ...] = ("accuracy", "precision", "recall", "f1", "auc")
BLIND = "Blind to concept drift: it assumes that labels follow from features as they used to."
DRAWS = 200
LEAST_ROWS = 100
LEAST_REFERENCE = 500
PARTS = 20
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
    """What reference rows with labels tell of a model's scores: all that an estimate needs.

    A row is called positive at a score of at least `threshold`; `scored` has the reference's
    scores in at most PARTS equal parts, by which a chunk is placed among them.
    """

    calibrator: Calibrator
    threshold: float
    scored: Profile

    def estimate(
        self, scores: Floats, figure: Figure, rng: np.random.Generator, draws: int = DRAWS
    ) -> Estimate | NotComputable:
        """The `figure` of rows with these `scores` `[rows]`, with its 95 % band."""
        if scores.size < LEAST_ROWS:
            return NotComputable(f"{scores.size} rows of the {LEAST_ROWS} that an estimate needs")
        chances = self.calibrator(scores)
        value = performance(chances, scores, self.threshold, figure)
        drawn = np.array([self._drawn(chances, scores, figure, rng) for _ in range(draws)])
        error = math.sqrt(float(np.mean((drawn - value) ** 2)) * self._widening(scores))
        if math.isnan(error):
            return NotComputable(f"{figure} is not defined for these rows")
        low, high = max(0.0, value - Z_95 * error), min(1.0, value + Z_95 * error)
        return Estimate(value, low, high, scores.size)

    def _drawn(
        self, chances: Floats, scores: Floats, figure: Figure, rng: np.random.Generator
    ) -> float:
        labels = (rng.random(scores.size) < chances).astype(np.float64)
        return performance(labels, scores, self.threshold, figure)

    def _widening(self, scores: Floats) -> float:
        """1 + m / n sum of q^2 / p, with p and q the shares of reference and chunk in the parts.

        Labels in a part vary by v: the chunk's mean by sum of q v / m, the calibration's, weighted
        as the chunk lies, by sum of q^2 v / (n p). The ratio is 1 + m / n for equal shares.
        """
        current = Profile.of(self.scored.layout, {"score": scores})
        p, q = shares(self.scored.counts)[0], shares(current.counts)[0]
        spread = float(np.divide(q**2, p, out=np.zeros_like(p), where=p > 0).sum())
        return 1 + scores.size / float(self.scored.rows[0]) * spread


def fit_estimator(scores: Floats, labels: Flags, threshold: float) -> Estimator | NotComputable:
    """An estimator from reference `scores` and `labels` `[rows]` that training never saw."""
    if scores.size < LEAST_REFERENCE:
        return NotComputable(
            f"{scores.size} reference rows of the {LEAST_REFERENCE} that calibration needs"
        )
    if labels.all() or not labels.any():
        return NotComputable("the reference's labels are all the same")
    layout = Layout.of({"score": numeric_bins(scores, PARTS)})
    return Estimator(fit_isotonic(scores, labels), threshold, Profile.of(layout, {"score": scores}))


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
