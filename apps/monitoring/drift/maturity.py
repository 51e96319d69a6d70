"""How many of the labels that will come have come: a performance figure is worth no more.

Labels come late, and those of young predictions are not wrong but missing. The delay from
prediction to label is a time to an event, censored at now for all that have none yet, so its law
is Kaplan and Meier's (1958), which uses both, with Greenwood's variance (1926).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from apps.monitoring.drift.computable import NotComputable
from serving.arrays import Floats


@dataclass(frozen=True, eq=False)
class Maturity:
    """Share of labels that came by an age, as steps: `ages` `[steps]`, rising; `arrived` after it.

    `errors` are Greenwood's standard errors of `arrived`. `watched` is the greatest age that was
    seen: of older predictions nothing is known.
    """

    ages: Floats
    arrived: Floats
    errors: Floats
    watched: float

    @cached_property
    def ever(self) -> float:
        """Share that came within `watched`; the rest never did, or later than anybody looked."""
        return float(self.arrived[-1]) if self.arrived.size else 0.0

    def share(self, ages: Floats) -> Floats:
        """Share of labels that have come at these ages; beyond `watched`, that at `watched`."""
        steps = np.searchsorted(self.ages, ages, side="right")
        return np.concatenate([[0.0], self.arrived])[steps]

    def error(self, ages: Floats) -> Floats:
        """Standard error of `share` at these ages."""
        steps = np.searchsorted(self.ages, ages, side="right")
        return np.concatenate([[0.0], self.errors])[steps]

    def window(self, ages: Floats) -> float | NotComputable:
        """Share of the labels of predictions of these ages that have come, of those to come.

        1 once everything is there that ever comes, however little that is.
        """
        if not ages.size:
            return NotComputable("there are no predictions in the window")
        if not self.ever:
            return NotComputable("no label has come yet, so nobody knows how long they take")
        return float(self.share(ages).mean()) / self.ever

    def age_of(self, share: float) -> float | NotComputable:
        """The age at which `share` (0 to 1) of the labels that ever come have come."""
        reached = np.flatnonzero(self.arrived >= share * self.ever - 1e-12)
        if not reached.size or not self.ever:
            return NotComputable("no label has come yet, so nobody knows how long they take")
        return float(self.ages[reached[0]])


def maturity(delays: Floats, waiting: Floats) -> Maturity:
    """The law of label delay from the `delays` of labels that came and the ages of those `waiting`.

    Both in the same unit. A label that comes at the very age another one is censored at comes
    first. Raises ValueError for a negative delay or age.
    """
    if (delays < 0).any() or (waiting < 0).any():
        raise ValueError("delays and ages are not negative")
    ages, came = np.unique(delays, return_counts=True)
    everyone = np.sort(np.concatenate([delays, waiting]))
    at_risk = everyone.size - np.searchsorted(everyone, ages, side="left")
    left = np.cumprod(1 - came / at_risk)
    # The last step may leave nobody: its term is 0 x inf, and the variance there is 0.
    safe = np.maximum(at_risk - came, 1)
    errors = left * np.sqrt(np.cumsum(came / (at_risk * safe)))
    arrived = np.asarray(1 - left, dtype=np.float64)
    return Maturity(ages, arrived, errors, float(everyone[-1]) if everyone.size else 0.0)
