"""Evidence of harm that may be looked at every second: an e-process on units.

Units are taken in the order of their first model-attributable failure. Under "the candidate is no
worse than d times the baseline" such a unit is in the candidate with probability at most
r0 = d w / (d w + 1 - w), w = the candidate's bucket share at that moment. For a bet on ratio l,
q = l d w / (l d w + 1 - w); wealth multiplies by q/r0 for a candidate's unit, else by
(1-q)/(1-r0). The mean over the bets is a test martingale: it passes 1/alpha with probability at
most alpha, however often one looks (Ville; Shafer 2021; Turner and Gruenwald 2022).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

BETS: tuple[float, ...] = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(slots=True)
class Guardrail:
    """One wealth per (rollout, guardrail), never reset at a step.

    `alpha` is this guardrail's own share of the rollout's alpha, in (0, 1); `harm_ratio` is d > 0.
    """

    alpha: float = 0.01
    harm_ratio: float = 1.0
    units: int = 0
    log_bets: list[float] = field(default_factory=lambda: [0.0] * len(BETS))

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError("alpha must lie between 0 and 1")
        if self.harm_ratio <= 0:
            raise ValueError("harm_ratio must be positive")

    def observe(self, in_candidate: bool, share: float) -> float:
        """Add one unit's first failure at candidate share `share` (0..1); return the wealth.

        Shares of 0 and 1 leave nothing to compare and change nothing.
        """
        if 0 < share < 1:
            self.units += 1
            self._bet(in_candidate, self.harm_ratio * share, 1 - share)
        return self.wealth

    def _bet(self, in_candidate: bool, candidate: float, baseline: float) -> None:
        null = candidate / (candidate + baseline)
        for number, ratio in enumerate(BETS):
            q = ratio * candidate / (ratio * candidate + baseline)
            factor = q / null if in_candidate else (1 - q) / (1 - null)
            self.log_bets[number] += math.log(factor)

    @property
    def wealth(self) -> float:
        """The e-value: 1 at the start, large when the null hypothesis does badly."""
        return sum(math.exp(min(value, 700.0)) for value in self.log_bets) / len(BETS)

    @property
    def crossed(self) -> bool:
        """Whether the wealth is at 1/alpha or above now. A caller that acts latches it."""
        return self.wealth >= 1 / self.alpha


def replay(
    failures: Iterable[tuple[bool, float]], *, alpha: float, harm_ratio: float = 1.0
) -> tuple[float, float]:
    """Wealth now and its running maximum over ordered `(in_candidate, share)` failures."""
    guardrail = Guardrail(alpha=alpha, harm_ratio=harm_ratio)
    peak = 1.0
    for in_candidate, share in failures:
        peak = max(peak, guardrail.observe(in_candidate, share))
    return guardrail.wealth, peak
