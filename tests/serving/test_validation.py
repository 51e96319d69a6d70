"""Rows by schema: typed decoding, every fault by name, tensors as the model wants them."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from serving.validation import (
    CompiledSchema,
    InvalidFeatures,
    MalformedJson,
    SchemaError,
    compile_schema,
)

FEATURES = (
    FeatureSpec(name="month", kind="integer", minimum=1, maximum=12),
    FeatureSpec(name="carrier", kind="string", categories=("AA", "UA")),
    FeatureSpec(name="dep delay", kind="float"),
    FeatureSpec(name="humid", kind="float", required=False, nullable=True),
    FeatureSpec(name="class", kind="boolean"),
    FeatureSpec(name="note", kind="string", required=False),
)
TENSORS = (
    TensorSpec(name="numeric", datatype="FP32", features=("dep delay", "humid", "month")),
    TensorSpec(name="carrier", datatype="BYTES", features=("carrier",)),
    TensorSpec(name="class", datatype="BOOL", features=("class",)),
    TensorSpec(name="note", datatype="BYTES", features=("note",)),
    TensorSpec(name="month", datatype="INT64", features=("month",)),
)
GOOD: dict[str, Any] = {
    "month": 3,
    "carrier": "UA",
    "dep delay": 1.5,
    "humid": None,
    "class": True,
    "note": "é",
}


def schema(
    features: tuple[FeatureSpec, ...] = FEATURES, tensors: tuple[TensorSpec, ...] = TENSORS
) -> CompiledSchema:
    return compile_schema(
        ModelSchema(features=features, tensors=tensors, output=OutputSpec(tensor="p"))
    )


def encoded(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_decode__good_row__is_in_the_order_of_the_schema() -> None:
    assert schema().decode(encoded()) == (3, "UA", 1.5, None, True, "é")


def test_decode__optional_features_left_out__are_none() -> None:
    row = {name: GOOD[name] for name in ("month", "carrier", "dep delay", "class")}
    assert schema().decode(json.dumps(row).encode()) == (3, "UA", 1.5, None, True, None)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"month": 13}, "range"),
        ({"month": 3.5}, "type"),
        ({"month": True}, "type"),
        ({"month": 10**30}, "range"),
        ({"carrier": "ZZ"}, "category"),
        ({"carrier": 1}, "type"),
        ({"dep delay": "1"}, "type"),
        ({"dep delay": None}, "null"),
        ({"dep delay": math.nan}, "not_finite"),
        ({"dep delay": -math.inf}, "not_finite"),
        ({"dep delay": 1e39}, "range"),
        ({"note": "x" * 5_000}, "range"),
        ({"class": 1}, "type"),
        ({"other": 1}, "unknown"),
    ],
)
def test_decode__one_fault__names_kind_and_path(changes: dict[str, Any], kind: str) -> None:
    (name,) = changes
    with pytest.raises(InvalidFeatures) as caught:
        schema().decode(encoded(**changes))
    (fault,) = caught.value.faults
    assert (fault.kind, fault.path) == (kind, f"$.features.{name}")


def test_decode__nothing_there__names_every_required_feature() -> None:
    with pytest.raises(InvalidFeatures) as caught:
        schema().decode(b"{}")
    assert [fault.feature for fault in caught.value.faults] == [
        "month",
        "carrier",
        "dep delay",
        "class",
    ]


@pytest.mark.parametrize("data", [b"{", b"", b"\xff", b"[" * 100_000])
def test_decode__no_json__is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedJson):
        schema().decode(data)


@given(
    st.dictionaries(
        st.sampled_from([feature.name for feature in FEATURES]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "AA", "é"]),
    )
)
def test_decode__any_row__agrees_with_the_reading_of_python_values(row: dict[str, Any]) -> None:
    compiled = schema()
    data = json.dumps(row).encode()
    faults = compiled.faults(json.loads(data))
    if faults:
        with pytest.raises(InvalidFeatures):
            compiled.decode(data)
        with pytest.raises(InvalidFeatures):
            compiled.read(row)
    else:
        assert compiled.decode(data) == compiled.read(row)


def test_pack__two_rows__gives_each_tensor_row_by_row() -> None:
    compiled = schema()
    rows = [compiled.decode(encoded()), compiled.decode(encoded(month=4, humid=2.5, note="n"))]
    numeric, carrier, flag, note, month = compiled.pack(rows)
    np.testing.assert_array_equal(
        np.frombuffer(numeric, "<f4").reshape(2, 3), [[1.5, np.nan, 3], [1.5, 2.5, 4]]
    )
    assert carrier == b"\x02\0\0\0UA" * 2
    assert flag == b"\x01\x01"
    assert note == b"\x02\0\0\0\xc3\xa9\x01\0\0\0n"
    assert struct.unpack("<2q", month) == (3, 4)


def test_pack__missing_with_a_default__takes_the_default() -> None:
    features = (FeatureSpec(name="a", kind="integer", required=False, default=7),)
    compiled = schema(features, (TensorSpec(name="a", datatype="INT64", features=("a",)),))
    assert compiled.pack([compiled.decode(b"{}")]) == [struct.pack("<q", 7)]


@pytest.mark.parametrize(
    ("feature", "datatype"),
    [
        (FeatureSpec(name="a", kind="string"), "FP32"),
        (FeatureSpec(name="a", kind="float"), "BYTES"),
        (FeatureSpec(name="a", kind="float"), "INT64"),
        (FeatureSpec(name="a", kind="integer"), "BOOL"),
        (FeatureSpec(name="a", kind="integer", required=False), "INT64"),
        (FeatureSpec(name="b", kind="integer"), "INT64"),
    ],
)
def test_compile__tensor_that_cannot_hold_the_feature__is_refused(
    feature: FeatureSpec, datatype: Any
) -> None:
    with pytest.raises(SchemaError):
        schema((feature,), (TensorSpec(name="t", datatype=datatype, features=("a",)),))


def test_compile__feature_named_twice__is_refused() -> None:
    with pytest.raises(SchemaError):
        schema((FEATURES[0], FEATURES[0]), ())


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([*[feature.name for feature in FEATURES], "unknown"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "AA"]),
        ),
        max_size=4,
    )
)
def test_rows__read_together__fit_or_fail_as_each_by_itself(rows: list[dict[str, Any]]) -> None:
    compiled = schema()
    data = json.dumps(rows).encode()
    faults = [
        fault
        for number, row in enumerate(rows)
        for fault in compiled.faults(row, f"$.instances[{number}]")
    ]
    if faults:
        with pytest.raises(InvalidFeatures) as decoding:
            compiled.decode_rows(data)
        with pytest.raises(InvalidFeatures) as reading:
            compiled.read_rows(rows, "$.instances")
        assert list(decoding.value.faults) == list(reading.value.faults) == faults
    else:
        each = [compiled.read(row) for row in rows]
        assert compiled.decode_rows(data) == compiled.read_rows(rows, "$.instances") == each
