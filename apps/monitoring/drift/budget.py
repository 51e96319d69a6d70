"""An alarm budget: thresholds that past windows would have passed so many times a month by chance.

Windows differ from each other by more than sampling (hours of day, days of week, campaigns), so a
threshold from sampling alone cries wolf. Replay: draw the windows of one report at random from the
past, whenever they were, and hold them against the rest of it; time is shuffled, so whatever the
scores show is no drift. The worst feature of each replay gives the law of the worst score of a
report, and its (1 - A / reports a month) quantile keeps the expected false alarms a month at A.
"""

import math
from dataclasses import dataclass

import numpy as np

from apps.monitoring.drift import scores
from apps.monitoring.drift.computable import NotComputable
from serving.arrays import Counts, Floats

REPLAYS = 4_000
AT_ONCE = 250
# So many replays must lie above the quantile, or it is made up.
LEAST_ABOVE = 5


@dataclass(frozen=True, eq=False)
class Thresholds:
    """PSI `[features]` above which a report alarms: `factor` times each feature's usual score.

    `usual` is a feature's mean PSI over replays, so a feature that always moves much must move
    more than one that never does, and each has a like share of the false alarms.
    """

    factor: float
    usual: Floats

    @property
    def values(self) -> Floats:
        """The threshold of each feature."""
        return self.factor * self.usual

    def alarms(self, psi: Floats) -> bool:
        """Whether any feature of a report passes its threshold; NaN passes none."""
        return bool(np.any(psi > self.values))


def thresholds(
    windows: Counts,
    *,
    per_report: int,
    reports_a_month: float,
    budget: float,
    rng: np.random.Generator,
    replays: int = REPLAYS,
) -> Thresholds | NotComputable:
    """Thresholds that alarm `budget` times a month if nothing drifts.

    `windows` are the counts `[windows, features, cells]` of past windows in one layout,
    `per_report` of which make up the current side of a report. Raises ValueError for a budget
    that is not in (0, reports_a_month).
    """
    if not 0 < budget < reports_a_month:
        raise ValueError("the budget must lie between 0 and the number of reports a month")
    above = _share_above(len(windows), per_report, budget / reports_a_month)
    if above < 0 or len(windows) < 2 * per_report:
        one_in = reports_a_month / budget
        return NotComputable(
            f"{len(windows)} past windows cannot tell one false alarm in {one_in:.0f} reports"
        )
    if per_report > 1 and replays * above < LEAST_ABOVE:
        return NotComputable(f"{replays} replays cannot tell an event of chance {above:.1g}")
    replayed = _replay(windows, per_report, replays, rng)
    usual = _mean_of_known(replayed)
    ratios = np.divide(replayed, usual, out=np.zeros_like(replayed), where=usual > 0)
    worst = np.sort(np.nan_to_num(ratios).max(axis=-1))
    factor = float(worst[len(worst) - 1 - math.floor(len(worst) * above)])
    return Thresholds(factor, np.where(usual > 0, usual, np.nan))


def _share_above(windows: int, per_report: int, chance: float) -> float:
    """Share of replays that may pass a threshold which the next report passes with `chance`.

    The next report is one more beside the E that the past can form, so k of E above the threshold
    let it pass with chance (k + 1) / (E + 1) (the rank argument of conformal prediction).
    """
    possible = math.comb(windows, per_report)
    return chance + (chance - 1) / possible if possible else -1.0


def _replay(windows: Counts, per_report: int, replays: int, rng: np.random.Generator) -> Floats:
    """PSI `[replays, features]` of windows drawn at random against all others.

    A report of one window is replayed with each of the past's once.
    """
    total = windows.sum(axis=0)
    if per_report == 1:
        return scores.psi(total - windows, windows)
    found = np.empty((replays, windows.shape[1]))
    for start in range(0, replays, AT_ONCE):
        size = min(AT_ONCE, replays - start)
        order = rng.permuted(np.tile(np.arange(len(windows)), (size, 1)), axis=1)
        current = windows[order[:, :per_report]].sum(axis=1)
        found[start : start + size] = scores.psi(total - current, current)
    return found


def _mean_of_known(replayed: Floats) -> Floats:
    """Means over replays; 0 of a feature that never had a score."""
    known = ~np.isnan(replayed)
    counts = np.maximum(known.sum(axis=0), 1)
    return np.asarray(np.where(known, replayed, 0.0).sum(axis=0) / counts, dtype=np.float64)
