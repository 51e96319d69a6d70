"""What drift reports cost: 50 features from bins, and raw rows into bins.

Prints the medians of some runs: `drift_features_per_s`, features scored and judged from profiles,
one report at a time; `drift_freeze_ms`, to calibrate a reference of 50 features, once;
`drift_rows_per_s`, rows of one numeric column counted; `drift_texts_per_s`, of a categorical one;
`drift_raw_report_s`, a million rows of ten numeric columns counted and reported on.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from apps.monitoring.drift.report import Reference, report
from serving.bins import Bins, category_bins, numeric_bins
from serving.profile import Column, Layout, Profile

FEATURES, RUNS, REPORTS = 50, 5, 50
ROWS, WIDE = 1_000_000, 10
CARRIERS = np.array(["AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN"])


def columns(rng: np.random.Generator, rows: int, features: int) -> dict[str, Column]:
    """Random columns; every fifth is a category."""
    return {
        f"x{number}": rng.standard_normal(rows) if number % 5 else rng.choice(CARRIERS, rows)
        for number in range(features)
    }


def layout_of(drawn: dict[str, Column]) -> Layout:
    """Bins of these columns."""
    bins: dict[str, Bins] = {
        name: numeric_bins(column)
        if np.asarray(column).dtype.kind == "f"
        else category_bins(list(column))
        for name, column in drawn.items()
    }
    return Layout.of(bins)


def seconds(work: Callable[[], object]) -> float:
    """The median time of some runs."""
    found = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def from_bins(rng: np.random.Generator) -> None:
    """Reports of profiles that are there already."""
    drawn = columns(rng, 20_000, FEATURES)
    before = Profile.of(layout_of(drawn), drawn)
    current = Profile.of(before.layout, columns(rng, 5_000, FEATURES))
    reference = Reference.freeze(before)

    def reports() -> None:
        for _ in range(REPORTS):
            report(reference, current)

    print(f"drift_features_per_s={REPORTS * FEATURES / seconds(reports):.0f}")
    print(f"drift_freeze_ms={seconds(lambda: Reference.freeze(before)) * 1_000:.0f}")


def from_rows(rng: np.random.Generator) -> None:
    """Rows into bins."""
    wide: dict[str, Column] = {f"x{one}": rng.standard_normal(ROWS) for one in range(WIDE)}
    texts: dict[str, Column] = {"carrier": rng.choice(CARRIERS, ROWS)}
    layout, carriers = layout_of(wide), layout_of(texts)
    one = Layout(layout.names[:1], layout.bins[:1])
    reference = Reference.freeze(Profile.of(layout, wide))
    print(f"drift_rows_per_s={ROWS / seconds(lambda: Profile.of(one, wide)):.0f}")
    print(f"drift_texts_per_s={ROWS / seconds(lambda: Profile.of(carriers, texts)):.0f}")
    whole = seconds(lambda: report(reference, Profile.of(layout, wide)))
    print(f"drift_raw_report_s={whole:.3f}")


def main() -> None:
    """Print the figures."""
    rng = np.random.default_rng(1)
    from_bins(rng)
    from_rows(rng)


if __name__ == "__main__":
    main()
