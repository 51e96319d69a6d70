"""Reference profiles beside each other: shares in common cells, the most different first."""

import numpy as np
import pytest

from apps.registry.profiles import HEIGHT, WIDTH, pairs
from contracts.schema import FeatureSpec
from serving.reference import Reference, reference_of

FEATURES = [
    FeatureSpec(name="wind", kind="float"),
    FeatureSpec(name="carrier", kind="string"),
    FeatureSpec(name="late", kind="boolean"),
]


def reference(mean: float, carrier: str = "UA") -> Reference:
    winds = np.random.default_rng(7).normal(mean, 1.0, 500)
    rows = [
        {"wind": float(wind), "carrier": carrier if number % 5 else "AA", "late": number % 2 == 0}
        for number, wind in enumerate(winds)
    ]
    return reference_of(FEATURES, rows, source="sample")


def test_pairs__same_sample__nothing_apart() -> None:
    found = pairs(reference(10), reference(10))
    assert {one.name: one.apart for one in found} == {"wind": 0, "carrier": 0, "late": 0}


def test_pairs__shifted_and_other_categories__told_and_first() -> None:
    found = {one.name: one for one in pairs(reference(10), reference(16, carrier="DL"))}
    assert list(found) == ["wind", "carrier", "late"]
    wind, carrier = found["wind"].apart, found["carrier"].apart
    assert wind is not None
    assert carrier is not None
    assert wind > 0.95
    assert carrier == pytest.approx(0.8, abs=0.01)
    assert found["wind"].left.startswith("mean 9.87")


def test_pairs__bars__stay_within_the_picture() -> None:
    bars = [bar for one in pairs(reference(1), reference(2)) for bar in one.bars]
    assert bars
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in bars)
    assert all(bar.y >= 0 and bar.y + bar.height <= HEIGHT + 0.01 for bar in bars)


def test_pairs__feature_of_one_side_alone__has_no_distance() -> None:
    alone = reference_of(FEATURES[:1], [{"wind": 1.0}, {"wind": 1.0}], source="example")
    found = {one.name: one for one in pairs(alone, reference(10))}
    assert (found["carrier"].apart, found["carrier"].left) == (None, "–")
    assert found["wind"].apart is not None
