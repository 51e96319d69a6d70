"""Which drift matters: features by their estimated effect on the model's performance.

effect = importance x excess PSI. It ranks and no more: a model that ignores a feature does not
mind how it moves, but how much a given move costs only labels can tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.monitoring.drift.report import Level, Report


@dataclass(frozen=True)
class Ranked:
    """A feature's place: `importance` is its share of all, `effect` that times the excess PSI."""

    name: str
    level: Level
    importance: float
    excess: float
    effect: float


def ranking(report: Report, importances: Mapping[str, float]) -> tuple[Ranked, ...]:
    """Features with enough rows, the one with the largest effect first.

    `importances` are sizes of any scale, such as mean |SHAP|; a feature without one has 0. Raises
    ValueError for a negative one.
    """
    if any(importance < 0 for importance in importances.values()):
        raise ValueError("importances are sizes and not negative")
    total = sum(importances.get(name, 0.0) for name in report.layout.names) or 1.0
    excess = np.maximum(np.nan_to_num(report.scores["psi"].excess), 0.0)
    found = [
        _ranked(name, int(level), importances.get(name, 0.0) / total, float(moved))
        for name, level, moved in zip(report.layout.names, report.levels, excess, strict=True)
        if level >= 0
    ]
    return tuple(sorted(found, key=lambda one: (-one.effect, -one.excess, one.name)))


def _ranked(name: str, level: int, importance: float, excess: float) -> Ranked:
    return Ranked(name, Level(level), importance, excess, importance * excess)
