"""Shifts of means, and of the share that is missing: with what they are when nothing drifts.

The size of a normal variable of standard deviation s has mean s sqrt(2/pi) and standard deviation
s sqrt(1 - 2/pi): what a shift's size is expected to be without any.
"""

import math

import numpy as np
from scipy.special import ndtr, stdtr

from apps.monitoring.drift.null import Scores
from serving.arrays import Floats
from serving.profile import Profile

EXPECTED = math.sqrt(2 / math.pi)
SPREAD = math.sqrt(1 - 2 / math.pi)
# A reference mean this few standard errors from 0 has no relative change worth the name.
LEAST_MEAN_ERRORS = 3.0


def mean_shift(reference: Profile, current: Profile) -> Scores:
    """|mean difference| in the reference's standard deviations; p by Welch's t test.

    NaN of categories, of a constant reference and below two values on a side.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = np.where(reference.variances > 0, np.sqrt(reference.variances), np.nan)
        parts = reference.variances / reference.numbers, current.variances / current.numbers
        error = np.sqrt(sum(parts))
        freedom = error**4 / sum(
            part**2 / (side.numbers - 1)
            for part, side in zip(parts, (reference, current), strict=True)
        )
        shift = np.abs(current.means - reference.means)
        p = 2 * stdtr(freedom, -shift / error)
        value = np.where(np.isnan(p), np.nan, shift / sigma)
    return Scores(value, EXPECTED * error / sigma, SPREAD * error / sigma, p)


def relative_shift(reference: Profile, current: Profile) -> Scores:
    """|mean / reference mean - 1|: 0.1 is a change by 10 %; for predictions.

    Its standard error without drift, by the delta method, is sqrt(v/n + v'/m) / |reference mean|;
    p is the normal's. NaN where the reference's mean is within three standard errors of 0, and
    below two values on a side.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        own = reference.variances / reference.numbers
        size = np.abs(reference.means)
        base = np.where(size > LEAST_MEAN_ERRORS * np.sqrt(own), size, np.nan)
        error = np.sqrt(own + current.variances / current.numbers) / base
        shift = np.abs(current.means - reference.means) / base
        value = np.where(np.isnan(error), np.nan, shift)
        p = np.where(error > 0, 2 * ndtr(-value / error), np.where(value > 0, 0.0, 1.0))
    return Scores(value, EXPECTED * error, SPREAD * error, np.where(np.isnan(value), np.nan, p))


def missing_shift(reference: Profile, current: Profile) -> Scores:
    """|change of the share that is missing|, of all rows; p by the pooled two-proportion z test."""
    n, m = reference.rows + reference.missing, current.rows + current.missing
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (reference.missing + current.missing) / (n + m)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
        value: Floats = np.abs(current.missing / m - reference.missing / n)
        p = np.where(error > 0, 2 * ndtr(-value / error), 1.0)
    return Scores(value, EXPECTED * error, SPREAD * error, np.where(np.isnan(value), np.nan, p))
