"""How good predictions were, by the labels that have arrived: pure, and never without its doubt."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


def wilson(successes: int, total: int, *, z: float = Z_95) -> Interval | None:
    """Wilson's score interval of a proportion; None without trials (Wilson 1927).

    z is the two-sided standard normal quantile, 1.96 for 95 %. It keeps its coverage for small
    samples and for shares near 0 and 1, where the textbook interval does not.
    """
    if total <= 0:
        return None
    share = successes / total
    denominator = 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / denominator
    spread = math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    half = z * spread / denominator
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Sampled predictions, how many have a label (`total`), and how many of those were right."""

    correct: int = 0
    total: int = 0
    sampled: int = 0

    @property
    def share(self) -> float | None:
        """Share right; None without labels."""
        return self.correct / self.total if self.total else None

    @property
    def matured_share(self) -> float | None:
        """Share of the sampled predictions whose label is here; None without predictions."""
        return self.total / self.sampled if self.sampled else None

    def interval(self, *, z: float = Z_95) -> Interval | None:
        """Wilson's interval of `share`; None without labels."""
        return wilson(self.correct, self.total, z=z)

    def __add__(self, other: "Accuracy") -> "Accuracy":
        """Of both together."""
        return Accuracy(
            correct=self.correct + other.correct,
            total=self.total + other.total,
            sampled=self.sampled + other.sampled,
        )


@dataclass(frozen=True, kw_only=True)
class PhaseAccuracy:
    """A version's accuracy where it served: one endpoint, variant and phase."""

    endpoint: str
    variant: str
    phase: int
    accuracy: Accuracy
