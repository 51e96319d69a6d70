"""Looked-up features: what may be left out, what stored texts mean, defaults that fit."""

import pytest

from contracts.policy import Lookup, LookupFeature
from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from serving.lookup import StoredFeatures
from serving.validation import InvalidFeatures, SchemaError

SCHEMA = ModelSchema(
    features=(
        FeatureSpec(name="amount", kind="float"),
        FeatureSpec(name="clicks", kind="integer", minimum=0, maximum=100),
        FeatureSpec(name="vip", kind="boolean"),
        FeatureSpec(name="country", kind="string", categories=("AT", "DE")),
        FeatureSpec(name="spend", kind="float", minimum=0.0),
    ),
    tensors=(
        TensorSpec(name="x", datatype="FP32", features=("amount", "spend")),
        TensorSpec(name="n", datatype="INT64", features=("clicks", "vip")),
        TensorSpec(name="c", datatype="BYTES", features=("country",)),
    ),
    output=OutputSpec(tensor="p"),
)
DEFAULTS: dict[str, float | str | bool | None] = {
    "clicks": 0,
    "vip": False,
    "country": "AT",
    "spend": None,
}


def stored(**defaults: float | str | bool | None) -> StoredFeatures:
    chosen = {**DEFAULTS, **defaults}
    features = tuple(LookupFeature(name=name, default=value) for name, value in chosen.items())
    return StoredFeatures(SCHEMA, Lookup(features=features))


def test_decode__looked_up_features_left_out__is_accepted_and_packed_with_defaults() -> None:
    schema = stored().schema
    row = schema.decode(b'{"amount": 2.0}')
    assert row == (2.0, None, None, None, None)
    _, exact, text = schema.pack([row])
    assert (exact, text) == (bytes(16), b"\x02\0\0\0AT")


def test_decode__what_the_client_sends__is_checked_all_the_same() -> None:
    with pytest.raises(InvalidFeatures, match="clicks: must be at most 100"):
        stored().schema.decode(b'{"amount": 2.0, "clicks": 101}')
    with pytest.raises(InvalidFeatures, match="amount: is required"):
        stored().schema.decode(b'{"clicks": 1}')


def test_read__texts_of_the_store__become_values_of_the_features() -> None:
    assert stored().read([b"3", b"true", b"DE", b"1.5"]) == (3, True, "DE", 1.5)


@pytest.mark.parametrize(
    "data",
    [
        [b"101", b"yes", b"FR", b"-1"],
        [b"3.5", b"", b"\xff", b"nan"],
        [b"", b"2", b"at", b"inf"],
        [None, None, None, None],
    ],
)
def test_read__what_does_not_fit__is_not_there(data: list[bytes | None]) -> None:
    assert stored().read(data) == (None, None, None, None)


def test_merged__what_the_client_sent__wins() -> None:
    row = (2.0, 7, None, None, 0.5)
    assert stored().merged(row, (3, True, "DE", 1.5)) == ((2.0, 7, True, "DE", 0.5), True)
    assert stored().merged(row, (3, True, None, 1.5)) == ((2.0, 7, True, None, 0.5), False)


def test_lacks__only_looked_up_features__count() -> None:
    assert stored().lacks((2.0, 1, True, None, 1.0))
    assert not stored().lacks((2.0, 1, True, "DE", 1.0))


def test_names__of_a_version_without_the_feature__leave_it_out() -> None:
    lookup = Lookup(features=(LookupFeature(name="spend"), LookupFeature(name="unheard of")))
    assert StoredFeatures(SCHEMA, lookup).names == ("spend",)


@pytest.mark.parametrize(
    ("name", "default"), [("clicks", 101), ("clicks", 1.5), ("country", "FR"), ("country", 1)]
)
def test_default__that_is_no_value_of_the_feature__refused(name: str, default: float | str) -> None:
    with pytest.raises(SchemaError, match=name):
        stored(**{name: default})


def test_default__none_where_a_tensor_cannot_say_missing__refused() -> None:
    with pytest.raises(SchemaError, match="'clicks' may be missing and needs a default"):
        stored(clicks=None)
