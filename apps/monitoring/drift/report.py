"""A drift report: every score of every feature, and one verdict each.

A verdict needs an effect and evidence. On large samples everything is significant, so the effect
must pass a band; on small ones everything is noise, so it must also be significant after
Benjamini-Hochberg over all features and tests. The tests are chi-square for the effect PSI (the
same law, which Pearson's statistic follows with fewer rows than PSI does) and those of the shifts.
The effect is a score's excess over what sampling alone explains. Where sampling alone explains
the lower band, the answer is "not enough rows" and not "no drift".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np
from scipy.stats import false_discovery_control

from apps.monitoring.drift import scores
from apps.monitoring.drift.computable import NotComputable
from apps.monitoring.drift.moments import mean_shift, missing_shift, relative_shift
from apps.monitoring.drift.null import (
    Calibration,
    Scores,
    calibrate,
    kolmogorov_tail,
    quadratic,
    root_quadratic,
)
from serving.arrays import Flags, Floats
from serving.profile import Layout, Profile


class Level(IntEnum):
    """How large a drift is."""

    NONE = 0
    MODERATE = 1
    SIGNIFICANT = 2


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Lower and upper limits of effects, and the false discovery rate that evidence allows.

    PSI in nats, mean shift in the reference's standard deviations, the predictions' mean relative
    to the reference's. Above a lower limit is moderate, above an upper one significant.
    """

    psi: tuple[float, float] = (0.1, 0.2)
    mean_shift: tuple[float, float] = (2.0, 3.0)
    prediction: tuple[float, float] = (0.1, 0.1)
    alpha: float = 0.05


DEFAULT_BANDS = Bands()


@dataclass(frozen=True)
class Reference:
    """What current windows are held against: a frozen profile and the laws of its scores."""

    profile: Profile
    calibration: Calibration
    predictions: frozenset[str] = frozenset()

    @classmethod
    def freeze(cls, profile: Profile, predictions: frozenset[str] = frozenset()) -> "Reference":
        """Calibrate a profile once; `predictions` names its features that are model outputs."""
        return cls(profile, calibrate(profile), predictions)

    @cached_property
    def predicted(self) -> Flags:
        """Which features `[features]` are model outputs."""
        names = self.profile.layout.names
        return np.array([name in self.predictions for name in names], dtype=np.bool_)


@dataclass(frozen=True)
class Score:
    """One score of one feature; `p` is before correction for the number of features."""

    value: float
    expected: float
    spread: float
    p: float

    @property
    def excess(self) -> float:
        """What is left after what sampling explains."""
        return self.value - self.expected


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's part of a report, with only the scores that could be computed."""

    name: str
    verdict: Level | NotComputable
    scores: Mapping[str, Score] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Report:
    """Columns `[features]` in the order of `layout`.

    `levels` are those of `Level`, -1 where there are not enough rows to tell.
    """

    layout: Layout
    scores: Mapping[str, Scores]
    levels: Floats
    reference_rows: Floats
    current_rows: Floats

    @property
    def drifted(self) -> tuple[str, ...]:
        """Features with a moderate or significant drift."""
        return tuple(
            name
            for name, level in zip(self.layout.names, self.levels, strict=True)
            if level > Level.NONE
        )

    def feature(self, name: str) -> FeatureDrift:
        """Everything about one feature. Raises ValueError for a name that is not in the layout."""
        row = self.layout.names.index(name)
        found = {
            key: Score(*(float(part[row]) for part in (one.value, one.expected, one.spread, one.p)))
            for key, one in self.scores.items()
            if not np.isnan(one.value[row])
        }
        return FeatureDrift(name, self._verdict(row), found)

    def _verdict(self, row: int) -> Level | NotComputable:
        if self.levels[row] >= 0:
            return Level(int(self.levels[row]))
        if not self.reference_rows[row]:
            return NotComputable("the reference has no values of it")
        if not self.current_rows[row]:
            return NotComputable("there are no current values of it")
        return NotComputable(
            f"not enough rows: sampling alone makes a PSI of {self.scores['psi'].expected[row]:.2f}"
            f" of {self.current_rows[row]:.0f} rows"
        )


def report(reference: Reference, current: Profile, bands: Bands = DEFAULT_BANDS) -> Report:
    """Hold a window against a reference. Raises ValueError if their bins differ."""
    before = reference.profile
    if before.layout is not current.layout and before.layout != current.layout:
        raise ValueError("a window must be counted in its reference's bins")
    found = _scores(reference, current)
    levels = _levels(found, bands, reference.predicted)
    rows = before.rows.astype(np.float64), current.rows.astype(np.float64)
    return Report(before.layout, found, levels, *rows)


def _scores(reference: Reference, current: Profile) -> dict[str, Scores]:
    before, laws = reference.profile, reference.calibration
    p, q, layout = before.counts, current.counts, before.layout
    c, occupied = scores.sampling(p, q), scores.cells(p, q)
    c = np.where(np.isfinite(c), c, np.nan)
    ks = np.where(layout.numeric, scores.kolmogorov_smirnov(p, q), np.nan)
    moved = np.where(layout.numeric, scores.wasserstein(p, q, layout.gaps), np.nan)
    largest = scores.l_infinity(p, q)
    return {
        "psi": quadratic(scores.psi(p, q), c, occupied),
        "jensen_shannon": quadratic(scores.jensen_shannon(p, q), c / 8, occupied),
        "hellinger": root_quadratic(scores.hellinger(p, q), c / 8, occupied),
        "chi_square": quadratic(scores.chi_square(p, q), np.ones_like(c), occupied),
        "kolmogorov_smirnov": laws.kolmogorov_smirnov.judge(ks, c, kolmogorov_tail(ks, c)),
        "wasserstein": laws.wasserstein.judge(moved, c),
        "l_infinity": laws.l_infinity.judge(largest, c, laws.largest_tail(largest, c)),
        "mean_shift": mean_shift(before, current),
        "relative_shift": relative_shift(before, current),
        "missing": missing_shift(before, current),
    }


def _levels(found: Mapping[str, Scores], bands: Bands, predicted: Flags) -> Floats:
    """The worst of the levels of all tests; -1 where PSI could not have said "no drift"."""
    psi, shift, relative = found["psi"], found["mean_shift"], found["relative_shift"]
    relative_p = np.where(predicted, relative.p, np.nan)
    sure = _corrected(np.stack([found["chi_square"].p, shift.p, relative_p])) <= bands.alpha
    by_psi = _level(psi, bands.psi)
    by_shift = _level(shift, bands.mean_shift)
    by_relative = _level(relative, bands.prediction)
    levels = (np.stack([by_psi, by_shift, by_relative]) * sure).max(axis=0)
    # NaN is not below the band either: no rows are not enough.
    enough = psi.expected <= bands.psi[0]
    return np.where(enough | (levels > 0), levels, -1.0)


def _level(found: Scores, band: tuple[float, float]) -> Floats:
    lower, upper = band
    return 1.0 * (found.excess > lower) + 1.0 * (found.excess > upper)


def _corrected(p: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p over all that could be computed; NaN stays NaN."""
    known = ~np.isnan(p)
    adjusted = np.full(p.shape, np.nan)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    return adjusted
