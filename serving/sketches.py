"""Mergeable quantile sketches: logarithmic bins with bounded relative error.

Bin i holds values in (GAMMA**(i-1), GAMMA**i]; any quantile is off by at most ACCURACY, relative
(DDSketch; Masson, Rim, Lee 2019). Merging adds counts, so a sketch of parts is the sketch of all.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_INVERSE_LOG = 1 / math.log(GAMMA)
FLOOR = 1e-3
FLOOR_BIN = math.ceil(math.log(FLOOR) * _INVERSE_LOG)


def bin_of(value: float) -> int:
    """The bin of a non-negative value; everything up to FLOOR shares the lowest bin."""
    return FLOOR_BIN if value <= FLOOR else math.ceil(math.log(value) * _INVERSE_LOG)


def value_of(index: int) -> float:
    """The value that stands for bin `index`, within ACCURACY of all its values."""
    return 2 * GAMMA**index / (GAMMA + 1)


@dataclass(slots=True)
class Sketch:
    """Counts by bin. `bins` may come straight from a Counter or from JSON (string keys)."""

    bins: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[float]) -> "Sketch":
        """The sketch of some values."""
        sketch = cls()
        for value in values:
            sketch.add(value)
        return sketch

    @classmethod
    def from_bins(cls, bins: Mapping[int, int] | Mapping[str, int]) -> "Sketch":
        """The sketch with these counts by bin."""
        return cls({int(index): count for index, count in bins.items()})

    @property
    def count(self) -> int:
        """How many values were added."""
        return sum(self.bins.values())

    def add(self, value: float, count: int = 1) -> None:
        """Add `value` `count` times."""
        index = bin_of(value)
        self.bins[index] = self.bins.get(index, 0) + count

    def merge(self, other: "Sketch") -> None:
        """Add all of `other`'s counts."""
        for index, count in other.bins.items():
            self.bins[index] = self.bins.get(index, 0) + count

    def quantile(self, q: float) -> float | None:
        """The q-quantile (0 <= q <= 1), or None of an empty sketch."""
        if not 0 <= q <= 1:
            raise ValueError("q must lie between 0 and 1")
        rank = q * (self.count - 1)
        seen = 0
        for index in sorted(self.bins):
            seen += self.bins[index]
            if seen > rank:
                return value_of(index)
        return None
