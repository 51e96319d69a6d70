"""Two versions on the same rows whose label has arrived: pure, and never without its doubt."""

import math
from dataclasses import dataclass

from apps.monitoring.performance import Z_95, Accuracy, Interval


@dataclass(frozen=True, kw_only=True)
class PairedAccuracy:
    """A shadow and the version beside it, on the `sampled` rows that both gave a label.

    The truth is known of the `both` that both labelled rightly, those that only one did, and those
    that `neither` did.
    """

    sampled: int = 0
    both: int = 0
    shadow_only: int = 0
    baseline_only: int = 0
    neither: int = 0

    @property
    def total(self) -> int:
        """Rows of which the truth is known."""
        return self.both + self.shadow_only + self.baseline_only + self.neither

    @property
    def shadow(self) -> Accuracy:
        """The shadow's accuracy."""
        return self._accuracy(self.both + self.shadow_only)

    @property
    def baseline(self) -> Accuracy:
        """The accuracy of the version that answered."""
        return self._accuracy(self.both + self.baseline_only)

    @property
    def difference(self) -> float | None:
        """The shadow's share right minus the baseline's; None without labels."""
        return (self.shadow_only - self.baseline_only) / self.total if self.total else None

    @property
    def difference_interval(self) -> Interval | None:
        """Of 95 %: Wald's for paired shares, with one row added to each kind of disagreement.

        p = (b + 1) / (n + 2), q = (c + 1) / (n + 2), p - q -+ z sqrt((p + q - (p - q)^2) / (n + 2))
        (Bonett and Price 2012). It keeps its coverage for few rows and for few disagreements,
        where the plain one is a point. None without labels.
        """
        if not self.total:
            return None
        count = self.total + 2
        more, less = (self.shadow_only + 1) / count, (self.baseline_only + 1) / count
        gap = more - less
        half = Z_95 * math.sqrt((more + less - gap**2) / count)
        return Interval(max(-1.0, gap - half), min(1.0, gap + half))

    @property
    def sentence(self) -> str:
        """What the labels say so far, in words; empty where nothing was sampled."""
        if not self.sampled:
            return ""
        if not self.total:
            return f"No label has arrived yet for the {self.sampled:,} sampled rows."
        found = self.difference_interval
        if found is None or found.low <= 0 <= found.high:
            return f"By {self.total:,} labels neither version is more often right."
        word = "more" if found.low > 0 else "less"
        return f"By {self.total:,} labels the shadow is {word} often right."

    def _accuracy(self, correct: int) -> Accuracy:
        return Accuracy(correct=correct, total=self.total, sampled=self.sampled)
