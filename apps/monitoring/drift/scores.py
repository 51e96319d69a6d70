"""How far two binned distributions lie apart: counts in, one figure a feature out.

`reference` and `current` are counts `[..., features, cells]` in the same bins; shapes broadcast.
Every score is 0 for equal shares and NaN where a side has no rows. What to expect of them when
nothing drifts is in `null`; which assumptions they make, in docs/drift.md.
"""

import numpy as np
from scipy.special import rel_entr

from serving.arrays import Counts, Flags, Floats

# Jeffreys' half a row: what an empty cell gets, with all others, before a logarithm is taken.
SMOOTHING = 0.5


def occupied(reference: Counts, current: Counts) -> Flags:
    """Cells that hold a row on either side; the others tell nothing and are no cell at all."""
    return np.asarray((reference + current) > 0, dtype=np.bool_)


def cells(reference: Counts, current: Counts) -> Counts:
    """B: how many cells are occupied `[..., features]`."""
    return np.asarray(occupied(reference, current).sum(axis=-1), dtype=np.int64)


def sampling(reference: Counts, current: Counts) -> Floats:
    """c = 1/n + 1/m `[..., features]`, inf where a side has no rows."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / reference.sum(axis=-1) + 1 / current.sum(axis=-1), dtype=np.float64)


def shares(counts: Counts | Floats) -> Floats:
    """Counts as shares of their rows; NaN without rows."""
    total = counts.sum(axis=-1, keepdims=True)
    undefined = np.full(counts.shape, np.nan)
    return np.asarray(np.divide(counts, total, out=undefined, where=total > 0), dtype=np.float64)


def psi(reference: Counts, current: Counts) -> Floats:
    """Population stability index: sum of (q - p) ln(q / p) over cells (Siddiqi 2006).

    If an occupied cell is empty on one side, SMOOTHING rows are added to every occupied cell of
    both; otherwise the shares are taken as they are.
    """
    real = occupied(reference, current)
    empty = (real & ((reference == 0) | (current == 0))).any(axis=-1, keepdims=True)
    extra = SMOOTHING * (real & empty)
    p, q = shares(reference + extra), shares(current + extra)
    logs = np.log(np.where(real, q, 1.0)) - np.log(np.where(real, p, 1.0))
    known = np.isfinite(sampling(reference, current))
    return np.where(known, _total((q - p) * logs), np.nan)


def jensen_shannon(reference: Counts, current: Counts) -> Floats:
    """Jensen-Shannon divergence in nats, both sides weighing the same: 0 to ln 2 (Lin 1991).

    Its square root is the distance that scipy and others report.
    """
    p, q = shares(reference), shares(current)
    middle = (p + q) / 2
    # Rounding may leave a sum of almost nothing below 0.
    return np.maximum(_total(rel_entr(p, middle) + rel_entr(q, middle)) / 2, 0.0)


def hellinger(reference: Counts, current: Counts) -> Floats:
    """Hellinger distance, 0 to 1: sqrt of half the sum of (sqrt q - sqrt p)^2 over cells."""
    roots = np.sqrt(shares(current)) - np.sqrt(shares(reference))
    return np.asarray(np.sqrt(_total(roots**2) / 2), dtype=np.float64)


def chi_square(reference: Counts, current: Counts) -> Floats:
    """Pearson's statistic of the 2 x B table: grows with the rows, so it is evidence, no effect.

    With p, q the shares: sum of (q - p)^2 / pooled share over cells, divided by c.
    """
    pooled = shares(reference + current)
    p, q = shares(reference), shares(current)
    undefined = np.where(np.isnan(pooled), np.nan, 0.0)
    terms = np.divide((q - p) ** 2, pooled, out=undefined, where=pooled > 0)
    return np.asarray(_total(terms) / sampling(reference, current), dtype=np.float64)


def kolmogorov_smirnov(reference: Counts, current: Counts) -> Floats:
    """Largest distance of the distribution functions at the edges of bins: of numbers only.

    A lower bound on the distance of the samples, which may lie further apart inside a bin.
    """
    return np.asarray(np.abs(_steps(reference, current)).max(axis=-1), dtype=np.float64)


def wasserstein(reference: Counts, current: Counts, gaps: Floats) -> Floats:
    """Earth mover's distance in the feature's unit, each bin's rows taken to lie at its place.

    `gaps` `[features, cells - 1]` are the distances between the places of neighbouring bins.
    Movement inside a bin, and how far beyond the outermost places, is not seen.
    """
    return _total(np.abs(_steps(reference, current)[..., :-1]) * gaps)


def l_infinity(reference: Counts, current: Counts) -> Floats:
    """Largest change of any cell's share."""
    return np.asarray(np.abs(shares(current) - shares(reference)).max(axis=-1), dtype=np.float64)


def _steps(reference: Counts, current: Counts) -> Floats:
    return np.asarray(np.cumsum(shares(current) - shares(reference), axis=-1), dtype=np.float64)


def _total(terms: Floats) -> Floats:
    return np.asarray(terms.sum(axis=-1), dtype=np.float64)
