"""Seeded features of every kind, and their profiles."""

from collections.abc import Mapping

import numpy as np

from serving.bins import BOOLEAN, category_bins, numeric_bins
from serving.profile import Column, Layout, Profile

CARRIERS = np.array(["AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN"])


def normal(rng: np.random.Generator, rows: int, features: int) -> dict[str, Column]:
    """Independent standard normal columns "x0", "x1", …"""
    return {f"x{number}": rng.standard_normal(rows) for number in range(features)}


def mixed(rng: np.random.Generator, rows: int) -> dict[str, Column]:
    """A number with ties and gaps, a category, a flag."""
    delay = np.where(rng.random(rows) < 0.3, 0.0, rng.lognormal(2.0, 1.0, rows))
    delay[rng.random(rows) < 0.05] = np.nan
    return {
        "delay": delay,
        "carrier": rng.choice(CARRIERS, rows),
        "late": rng.random(rows) < 0.2,
    }


def mixed_layout(rng: np.random.Generator) -> Layout:
    """The bins of a thousand rows of `mixed`."""
    drawn = mixed(rng, 1_000)
    return Layout.of(
        {
            "delay": numeric_bins(drawn["delay"]),
            "carrier": category_bins(drawn["carrier"]),
            "late": BOOLEAN,
        }
    )


def frozen(columns: Mapping[str, Column]) -> Profile:
    """The profile of a numeric reference in its own bins."""
    layout = Layout.of({name: numeric_bins(column) for name, column in columns.items()})
    return Profile.of(layout, columns)
