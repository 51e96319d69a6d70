"""Estimates with their doubt, and what they say about a limit. Pure.

Proportions have Wilson's interval (Wilson 1927, without continuity correction); the difference of
two has Newcombe's hybrid score interval (Newcombe 1998, method 10); means are normal by their
standard error. The area under the ROC curve has DeLong's variance (DeLong et al. 1988). Rows are
taken as independent, and two versions' rows as two samples: where both were evaluated on the same
rows that is wider than it need be, never narrower than it may.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import Self, TypeAlias

import numpy as np

CONFIDENCE = 0.95
Scores: TypeAlias = "Sequence[float] | np.ndarray"


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A figure of one version: `hits` of `rows` where it is a proportion, else a value with its
    standard error."""

    value: float
    rows: int
    hits: float | None = None
    error: float | None = None

    @classmethod
    def proportion(cls, hits: float, rows: int) -> Self | None:
        """Hits per row; None without rows."""
        return cls(hits / rows, rows, hits=hits) if rows else None

    def interval(self, confidence: float = CONFIDENCE) -> Interval | None:
        """Where the true figure lies; None where no doubt is known."""
        z = quantile(confidence)
        if self.hits is not None:
            return wilson(self.hits, self.rows, z)
        if self.error is None:
            return None
        return Interval(self.value - z * self.error, self.value + z * self.error)


class Word(StrEnum):
    """What an interval says about a limit."""

    WITHIN = "within"
    BEYOND = "beyond"
    CANNOT_TELL = "cannot tell"


def quantile(confidence: float) -> float:
    """How many standard errors reach to both sides. Raises ValueError outside (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise ValueError("a confidence lies between 0 and 1")
    return NormalDist().inv_cdf(0.5 + confidence / 2.0)


def wilson(hits: float, rows: int, z: float) -> Interval:
    """Wilson's score interval of hits among rows (at least one)."""
    share, square = hits / rows, z * z
    centre = (share + square / (2 * rows)) / (1 + square / rows)
    half = z * math.sqrt(share * (1 - share) / rows + square / (4 * rows * rows))
    half /= 1 + square / rows
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def difference(new: Estimate, old: Estimate, confidence: float = CONFIDENCE) -> Interval | None:
    """Where new minus old lies; None where the doubt of either is not known."""
    if new.hits is not None and old.hits is not None:
        z, gap = quantile(confidence), new.value - old.value
        one, two = wilson(new.hits, new.rows, z), wilson(old.hits, old.rows, z)
        low = gap - math.hypot(new.value - one.low, two.high - old.value)
        high = gap + math.hypot(one.high - new.value, old.value - two.low)
        return Interval(low, high)
    errors = _error(new), _error(old)
    if errors[0] is None or errors[1] is None:
        return None
    half = quantile(confidence) * math.hypot(errors[0], errors[1])
    return Interval(new.value - old.value - half, new.value - old.value + half)


def _error(one: Estimate) -> float | None:
    if one.hits is None:
        return one.error
    return math.sqrt(max(one.value * (1 - one.value), 0.25 / one.rows) / one.rows)


def at_least(found: Interval, limit: float) -> Word:
    """Whether the whole interval reaches the limit, or none of it."""
    if found.low >= limit:
        return Word.WITHIN
    return Word.BEYOND if found.high < limit else Word.CANNOT_TELL


def at_most(found: Interval, limit: float) -> Word:
    """Whether the whole interval keeps to the limit, or none of it."""
    if found.high <= limit:
        return Word.WITHIN
    return Word.BEYOND if found.low > limit else Word.CANNOT_TELL


@dataclass(frozen=True)
class Gap:
    """The largest difference between two groups, without its sign, and where it lies.

    `interval` covers the largest gap of all pairs at once (Bonferroni over the pairs).
    """

    groups: tuple[str, str]
    value: float
    interval: Interval


def largest_gap(groups: Mapping[str, Estimate], confidence: float = CONFIDENCE) -> Gap | None:
    """How far apart two groups are at most; None for fewer than two."""
    names = sorted(groups)
    pairs = [(one, two) for index, one in enumerate(names) for two in names[index + 1 :]]
    if not pairs:
        return None
    each = 1.0 - (1.0 - confidence) / len(pairs)
    found = [_gap(pair, groups, each) for pair in pairs]
    widest = max(found, key=lambda gap: gap.value)
    low = max(gap.interval.low for gap in found)
    high = max(gap.interval.high for gap in found)
    return Gap(widest.groups, widest.value, Interval(low, high))


def _gap(pair: tuple[str, str], groups: Mapping[str, Estimate], confidence: float) -> Gap:
    one, two = groups[pair[0]], groups[pair[1]]
    found = difference(one, two, confidence) or Interval(-1.0, 1.0)
    low = max(found.low, -found.high, 0.0)
    return Gap(pair, abs(one.value - two.value), Interval(low, max(found.high, -found.low)))


def area_under_curve(positives: Scores, negatives: Scores) -> Estimate | None:
    """The chance that a positive scores above a negative, ties half; None without both.

    The error is DeLong's: from the placements of each among the others, by ranks.
    """
    ones, zeros = np.asarray(positives, float), np.asarray(negatives, float)
    if not len(ones) or not len(zeros):
        return None
    of_ones, of_zeros = _placements(ones, zeros), 1.0 - _placements(zeros, ones)
    variance = _variance(of_ones) / len(ones) + _variance(of_zeros) / len(zeros)
    rows = len(ones) + len(zeros)
    return Estimate(float(of_ones.mean()), rows, error=math.sqrt(variance))


def _placements(these: "np.ndarray", others: "np.ndarray") -> "np.ndarray":
    """For each of these, the share of the others below it, ties half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, these, side="left")
    upto = np.searchsorted(ordered, these, side="right")
    placed: np.ndarray = (below + upto) / (2.0 * len(others))
    return placed


def _variance(values: "np.ndarray") -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.25
