"""Which units are mirrored, and what segments are called."""

import math

import pytest

from contracts.policy import Mirror
from contracts.schema import FeatureSpec, ModelSchema, OutputSpec
from serving.mirroring import MAX_VALUES, MirrorError, Segmenter, Share, value_of_segment

UNITS = [number.to_bytes(16, "big") for number in range(4_000)]
SCHEMA = ModelSchema(
    features=(
        FeatureSpec(name="carrier", kind="string"),
        FeatureSpec(name="distance", kind="float", nullable=True),
        FeatureSpec(name="name", kind="string", pii="hash"),
    ),
    tensors=(),
    output=OutputSpec(tensor="p"),
)


def mirrored(share: float, variant: str = "shadow", endpoint: str = "flights") -> set[bytes]:
    chosen = Share(Mirror(variant=variant, share=share), endpoint)
    return {unit for unit in UNITS if chosen.has(unit)}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_share__of_many_units__is_about_that_many(share: float) -> None:
    spread = 4 * math.sqrt(share * (1 - share) * len(UNITS))
    assert abs(len(mirrored(share)) - share * len(UNITS)) <= spread


def test_share__grows__keeps_every_unit() -> None:
    assert mirrored(0.1) < mirrored(0.3) < mirrored(1.0)


def test_share__two_mirrors__choose_independently() -> None:
    one, other = mirrored(0.5), mirrored(0.5, "shadow-b")
    assert 0.2 * len(UNITS) < len(one & other) < 0.3 * len(UNITS)


def test_share__beyond_one__is_refused() -> None:
    with pytest.raises(MirrorError, match="between 0 and 1"):
        mirrored(1.5)


def test_segments__of_a_row__are_one_for_each_feature() -> None:
    found = Segmenter(("carrier", "distance"), SCHEMA).of(("AA", 1500.0, "Ada"))
    assert found == ("carrier=AA", "distance=1024 to 2048")


def test_segments__too_many_values__are_other() -> None:
    segmenter = Segmenter(("carrier",), SCHEMA)
    found = [segmenter.of((f"c{number}", None, "")) for number in range(MAX_VALUES + 2)]
    assert found[MAX_VALUES - 1 :] == [
        (f"carrier=c{MAX_VALUES - 1}",),
        ("carrier=other",),
        ("carrier=other",),
    ]
    assert segmenter.of(("c0", None, "")) == ("carrier=c0",)


@pytest.mark.parametrize(("name", "words"), [("name", "private"), ("age", "not a feature")])
def test_segments__private_or_unknown__are_refused(name: str, words: str) -> None:
    with pytest.raises(MirrorError, match=words):
        Segmenter((name,), SCHEMA)


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        (None, "missing"),
        (math.nan, "missing"),
        (True, "true"),
        (7, "7"),
        (-1500, "-2048 to -1024"),
        (1024.0, "1024 to 2048"),
        (0.0, "near 0"),
        (1e-9, "near 0"),
        (math.inf, "other"),
        ("x" * 100, "x" * 64),
    ],
)
def test_value_of_segment__of_each_kind__groups_what_belongs_together(
    value: float | str | None, segment: str
) -> None:
    assert value_of_segment(value) == segment
