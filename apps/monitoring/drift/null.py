"""What scores are when nothing drifts, at these numbers of rows: expected value, spread, p.

With B occupied cells, n reference and m current rows, and c = 1/n + 1/m:
- chi-square ~ chi2(B-1), PSI ~ c chi2(B-1), Jensen-Shannon and squared Hellinger ~ c/8 chi2(B-1)
  (PSI: Yurdakul, Naranjo 2020; all are the same quadratic form to second order);
- KS, Wasserstein, L-infinity are maxima or sums of |differences of shares|, which are sqrt(c)
  times a multinomial's Gaussian limit. Their law depends on the reference's shares alone: it is
  drawn once a reference (`calibrate`) and only scaled afterwards.
All of it is asymptotic: it needs about five expected rows in each cell.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import chdtrc, gammaln, kolmogorov, ndtr

from apps.monitoring.drift import scores
from serving.arrays import Counts, Floats
from serving.profile import Profile

DRAWS = 10_000
SEED = 20_131
TAILS = np.concatenate([np.arange(0.95, 0.05, -0.05), np.geomspace(0.05, 1e-3, 18)])


@dataclass(frozen=True, eq=False)
class Scores:
    """One score of every feature `[features]`: its value, and what it is when nothing drifts.

    `expected` and `spread` are mean and standard deviation under no drift, `p` the chance of at
    least `value`. NaN where it cannot be computed or has no meaning.
    """

    value: Floats
    expected: Floats
    spread: Floats
    p: Floats

    @cached_property
    def excess(self) -> Floats:
        """What is left of `value` after what sampling explains: an estimate of the true score."""
        return self.value - self.expected


def quadratic(value: Floats, scale: Floats, cells: Counts) -> Scores:
    """A score that is `scale` x chi2(cells - 1) when nothing drifts; one cell can show nothing."""
    freedom = np.maximum(cells - 1, 0)
    with np.errstate(invalid="ignore"):
        p = np.where(freedom > 0, chdtrc(freedom, value / scale), 1.0)
    found = scale * freedom, scale * np.sqrt(2.0 * freedom), np.where(np.isnan(value), np.nan, p)
    return Scores(value, *found)


def root_quadratic(value: Floats, scale: Floats, cells: Counts) -> Scores:
    """A score whose square is `scale` x chi2(cells - 1): Hellinger's distance."""
    square = quadratic(value**2, scale, cells)
    freedom = np.maximum(cells - 1, 1)
    root = np.sqrt(2 * scale) * np.exp(gammaln((freedom + 1) / 2) - gammaln(freedom / 2))
    mean = np.where(cells > 1, root, 0.0)
    return Scores(value, mean, np.sqrt(np.maximum(square.expected - mean**2, 0.0)), square.p)


@dataclass(frozen=True, eq=False)
class Law:
    """A score's law at c = 1 `[features]`: mean, spread, and values passed with chance TAILS."""

    mean: Floats
    spread: Floats
    quantiles: Floats

    def judge(self, value: Floats, c: Floats, bound: Floats | None = None) -> Scores:
        """`value` at sampling c; `bound`, never below the true p, says more of the far tail."""
        root = np.sqrt(c)
        p = self._tail(value / root)
        if bound is not None:
            p = np.minimum(p, bound)
        return Scores(value, self.mean * root, self.spread * root, p)

    def _tail(self, scaled: Floats) -> Floats:
        """Chance of at least `scaled`, between the table's quantiles by ln p; 1e-3 beyond them."""
        beyond = np.sum(self.quantiles <= scaled[:, None], axis=-1)
        right = np.clip(beyond, 1, len(TAILS) - 1)
        rows = np.arange(len(scaled))
        start, end = self.quantiles[rows, right - 1], self.quantiles[rows, right]
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.clip((scaled - start) / (end - start), 0.0, 1.0)
        logs = np.log(TAILS[right - 1]) * (1 - part) + np.log(TAILS[right]) * part
        found = np.where(beyond == 0, 1.0, np.exp(logs))
        return np.where(np.isnan(scaled), np.nan, found)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The laws of the scores that have no closed form, for one reference."""

    kolmogorov_smirnov: Law
    wasserstein: Law
    l_infinity: Law
    deviations: Floats

    def largest_tail(self, value: Floats, c: Floats) -> Floats:
        """Bonferroni's bound on the p of L-infinity: the cells' own tails, added."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = value[:, None] / (self.deviations * np.sqrt(c)[:, None])
        tails: Floats = np.where(self.deviations > 0, 2 * ndtr(-z), 0.0)
        return np.asarray(np.minimum(tails.sum(axis=-1), 1.0), dtype=np.float64)


def calibrate(reference: Profile, *, draws: int = DRAWS, seed: int = SEED) -> Calibration:
    """Draw the laws of a reference, once: a few ms a feature. Equal seeds give equal laws."""
    rng = np.random.default_rng(seed)
    p = np.nan_to_num(scores.shares(reference.counts))
    laws = np.empty((3, len(p), len(TAILS) + 2))
    for row, (share, gaps) in enumerate(zip(p, reference.layout.gaps, strict=True)):
        differences = _differences(share, draws, rng)
        steps = np.abs(np.cumsum(differences, axis=-1))
        laws[0, row] = _summary(steps.max(axis=-1))
        laws[1, row] = _summary(steps[:, :-1] @ gaps)
        laws[2, row] = _summary(np.abs(differences).max(axis=-1))
    ks, moved, largest = (Law(one[:, 0], one[:, 1], one[:, 2:]) for one in laws)
    return Calibration(ks, moved, largest, np.sqrt(p * (1 - p)))


def kolmogorov_tail(value: Floats, c: Floats) -> Floats:
    """Kolmogorov's limit for samples: on bins never below the true p, as KS is smaller there."""
    return np.asarray(kolmogorov(value / np.sqrt(c)), dtype=np.float64)


def _differences(share: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Draws `[draws, cells]` of the Gaussian limit of (q - p) / sqrt(c): diag(p) - p p'."""
    root = np.sqrt(share)
    noise = rng.standard_normal((draws, len(share)))
    along = noise @ root
    return np.asarray(root * (noise - along[:, None] * root), dtype=np.float64)


def _summary(drawn: Floats) -> Floats:
    quantiles = np.quantile(drawn, 1 - TAILS)
    return np.concatenate([[drawn.mean(), drawn.std()], quantiles])
