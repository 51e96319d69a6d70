"""Declared steps: equal to sklearn, the same for one row and for many, refused if impossible."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction import FeatureHasher
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils.murmurhash import murmurhash3_32

from contracts.preprocessing import (
    Clip,
    Hash,
    Impute,
    Log,
    Onehot,
    Ordinal,
    Standardise,
    Step,
    outputs_of,
)
from contracts.schema import Datatype, FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from serving.murmur import murmur3_32
from serving.packing import Row, SchemaError
from serving.validation import CompiledSchema, compile_schema

CARRIERS = ("AA", "DL", "UA")
FEATURES = (
    FeatureSpec(name="delay", kind="float", required=False, nullable=True),
    FeatureSpec(name="distance", kind="float", required=False, nullable=True),
    FeatureSpec(name="month", kind="integer"),
    FeatureSpec(name="carrier", kind="string", required=False, nullable=True),
    FeatureSpec(name="hub", kind="boolean"),
    FeatureSpec(name="plane", kind="string", categories=("jet", "prop")),
)
ROWS: list[Row] = [
    (1.5, 300.0, 1, "AA", True, "jet"),
    (None, 0.0, 12, None, False, "prop"),
    (-7.25, None, 5, "ZZ", True, "jet"),
    (1e12, 1e-300, 7, "", False, "prop"),
]
NUMBERS = ("delay", "distance")
NUMPY = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "BOOL": "?"}


def compiled(
    *steps: Step, columns: tuple[str, ...] = (), datatype: Datatype = "FP64"
) -> CompiledSchema:
    """The chain over FEATURES into one tensor, by default of the last step's outputs."""
    columns = columns or outputs_of(steps[-1])
    tensor = TensorSpec(name="x", datatype=datatype, features=columns)
    return compile_schema(
        ModelSchema(
            features=FEATURES,
            tensors=(tensor,),
            output=OutputSpec(tensor="p"),
            preprocessing=steps,
        )
    )


def matrix(schema: CompiledSchema, rows: list[Row]) -> npt.NDArray[Any]:
    (data,) = schema.pack(rows)
    return np.frombuffer(data, NUMPY[schema.schema.tensors[0].datatype]).reshape(len(rows), -1)


def result(*steps: Step, rows: list[Row] | None = None, **given: Any) -> list[list[float]]:
    found: list[list[float]] = matrix(compiled(*steps, **given), rows or ROWS).tolist()
    return found


def test_impute__missing_numbers_and_texts__become_the_value_and_are_marked() -> None:
    step = Impute(
        inputs=("delay", "carrier"), values=(0.5, "AA"), indicators=("no delay", "no carrier")
    )
    code = Ordinal(inputs=("carrier",), categories=(CARRIERS,), unknown=-1.0)
    found = result(step, code, columns=("delay", "carrier", "no delay", "no carrier"))
    assert found[:3] == [[1.5, 0, 0, 0], [0.5, 0, 1, 1], [-7.25, -1, 0, 0]]


def test_onehot__unknown_and_missing__ignored_or_in_a_column_of_their_own() -> None:
    ignoring = Onehot(inputs=("carrier",), categories=(("AA", None),))
    assert result(ignoring) == [[1, 0], [0, 1], [0, 0], [0, 0]]
    counting = Onehot(inputs=("carrier",), categories=(("AA",),), unknown="column")
    assert outputs_of(counting) == ("carrier=AA", "carrier=other")
    assert result(counting) == [[1, 0], [0, 1], [0, 1], [0, 1]]


def test_onehot__numbers_and_booleans__are_categories_too() -> None:
    step = Onehot(inputs=("month", "hub"), categories=((12.0, 1.0), (0.0, 1.0)))
    assert outputs_of(step) == ("month=12", "month=1", "hub=0", "hub=1")
    assert result(step, datatype="BOOL") == [
        [False, True, False, True],
        [True, False, True, False],
        [False, False, False, True],
        [False, False, True, False],
    ]


def test_ordinal__unknown_and_missing__have_their_own_codes() -> None:
    step = Ordinal(inputs=("carrier",), categories=(CARRIERS,), unknown=-1.0, missing=9.0)
    assert result(step, datatype="INT64") == [[0], [9], [-1], [-1]]


def test_chain__each_step__works_on_what_the_one_before_left() -> None:
    found = result(
        Impute(inputs=("distance",), values=(math.e - 1,)),
        Clip(inputs=("distance",), low=0.0, high=10.0),
        Log(inputs=("distance",), outputs=("log distance",)),
        Standardise(inputs=("log distance",), mean=(1.0,), scale=(0.5,)),
        columns=("log distance", "distance", "month"),
    )
    assert found[2] == [pytest.approx(0.0), math.e - 1, 5.0]
    assert found[0] == [(math.log1p(10.0) - 1.0) / 0.5, 10.0, 1.0]


def test_log__outside_its_domain__is_what_numpy_says_without_a_warning() -> None:
    found = result(Log(inputs=("delay",), offset=0.0), rows=ROWS[2:])
    assert math.isnan(found[0][0])
    assert found[1] == [math.log(1e12)]


def test_pack__a_feature_default__comes_before_the_steps() -> None:
    features = (FeatureSpec(name="a", kind="float", required=False, default=2.0),)
    schema = compile_schema(
        ModelSchema(
            features=features,
            tensors=(TensorSpec(name="x", datatype="INT64", features=("n",)),),
            output=OutputSpec(tensor="p"),
            preprocessing=(
                Ordinal(inputs=("a",), outputs=("n",), categories=((2.0, 3.0),), unknown=7.0),
            ),
        )
    )
    assert matrix(schema, [(None,), (3.0,), (4.0,)]).tolist() == [[0], [1], [7]]


def test_pack__text_left_to_the_model__is_imputed() -> None:
    schema = compiled(Impute(inputs=("carrier",), values=("none",)), datatype="BYTES")
    assert schema.pack(ROWS[:2]) == [b"\x02\0\0\0AA\x04\0\0\0none"]


def test_pack__beyond_fp32__is_infinite_without_a_warning() -> None:
    found = result(
        Clip(inputs=("delay",), high=1e300), rows=[(1e200, *ROWS[0][1:])], datatype="FP32"
    )
    assert found == [[math.inf]]


def test_inputs__of_a_version_with_preprocessing__are_its_raw_features() -> None:
    inputs = compiled(Clip(inputs=("delay",), low=0.0)).inputs
    assert [(each.name, each.datatype) for each in inputs[2:5]] == [
        ("month", "INT64"),
        ("carrier", "BYTES"),
        ("hub", "BOOL"),
    ]


# The same for one row and for many

TEXT = st.sampled_from([None, "", "AA", "DL", "é" * 9]) | st.text(max_size=20)
NUMBER = st.none() | st.floats(-1e300, 1e300)
ANY_ROW = st.tuples(
    NUMBER,
    NUMBER,
    st.integers(-(2**53), 2**53),
    TEXT,
    st.booleans(),
    st.sampled_from(["jet", "prop"]),
)
EVERYTHING = (
    Impute(inputs=("distance",), values=(3.25,), indicators=("no distance",)),
    Onehot(
        inputs=("carrier", "month"), categories=((None, *CARRIERS), (1.0, 2.0)), unknown="column"
    ),
    Hash(inputs=("carrier", "delay", "month"), buckets=3),
    Hash(inputs=("carrier",), outputs=("place",), buckets=1_000, index=True),
    Ordinal(inputs=("plane",), categories=(("jet", "prop"),), refuse=True),
    Clip(inputs=("delay",), low=0.0, high=1e6),
    Log(inputs=("distance", "delay")),
    Log(inputs=("month",), outputs=("log month",), offset=2.5),
    Standardise(inputs=("delay", "month"), mean=(0.1, 7.0), scale=(0.3, 1e-3)),
)
ALL_COLUMNS = (
    *outputs_of(EVERYTHING[1]),
    *outputs_of(EVERYTHING[2]),
    *("place", "plane", "delay", "distance", "log month", "month", "no distance", "hub"),
)


@given(st.lists(ANY_ROW, min_size=1, max_size=40), st.sampled_from(["FP32", "FP64"]))
def test_pack__a_batch__equals_its_rows_one_by_one_to_the_bit(
    rows: list[Row], datatype: Datatype
) -> None:
    schema = compiled(*EVERYTHING, columns=ALL_COLUMNS, datatype=datatype)
    assert schema.pack(rows) == [b"".join(schema.pack([row])[0] for row in rows)]


# Equal to sklearn's

FLOATS = st.lists(
    st.tuples(*[st.just(math.nan) | st.floats(-1e9, 1e9)] * 2), min_size=2, max_size=40
)
TEXTS = st.lists(st.sampled_from(["a", "b", "c", "Ω"]), min_size=1, max_size=30)


def numeric_rows(values: npt.NDArray[np.float64]) -> list[Row]:
    return [
        (*(None if math.isnan(cell) else float(cell) for cell in row), *ROWS[0][2:])
        for row in values
    ]


def text_rows(texts: list[str]) -> list[Row]:
    return [(*ROWS[0][:3], text, *ROWS[0][4:]) for text in texts]


@given(FLOATS, st.sampled_from(["mean", "median"]))
def test_impute_standardise__equal_sklearn(values: list[tuple[float, ...]], strategy: Any) -> None:
    given = np.array([(0.0, 1.0), *values])
    imputer = SimpleImputer(strategy=strategy).fit(given)
    scaler = StandardScaler().fit(imputer.transform(given))
    ours = matrix(
        compiled(
            Impute(inputs=NUMBERS, values=tuple(imputer.statistics_), strategy=strategy),
            Standardise(inputs=NUMBERS, mean=tuple(scaler.mean_), scale=tuple(scaler.scale_)),
        ),
        numeric_rows(given),
    )
    np.testing.assert_array_equal(ours, scaler.transform(imputer.transform(given)))


@given(FLOATS)
def test_log1p__equals_numpys_over_the_whole_table(values: list[tuple[float, ...]]) -> None:
    given = np.abs(np.array(values))
    ours = matrix(compiled(Log(inputs=NUMBERS)), numeric_rows(given))
    np.testing.assert_allclose(ours, np.log1p(given), rtol=1e-15)


@given(TEXTS, TEXTS)
def test_onehot__equals_sklearn(fitted: list[str], asked: list[str]) -> None:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    encoder.fit(np.array([fitted], dtype=object).T)
    step = Onehot(inputs=("carrier",), categories=(tuple(encoder.categories_[0]),))
    theirs = encoder.transform(np.array([asked], dtype=object).T)
    np.testing.assert_array_equal(matrix(compiled(step), text_rows(asked)), theirs)


@given(TEXTS, TEXTS)
def test_ordinal__equals_sklearn(fitted: list[str], asked: list[str]) -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder.fit(np.array([fitted], dtype=object).T)
    categories = tuple(encoder.categories_[0])
    step = Ordinal(inputs=("carrier",), categories=(categories,), unknown=-1.0)
    theirs = encoder.transform(np.array([asked], dtype=object).T)
    np.testing.assert_array_equal(matrix(compiled(step), text_rows(asked)), theirs)


@given(st.lists(st.text(max_size=12), min_size=1, max_size=20), st.integers(1, 64), st.booleans())
def test_hash_of_text__equals_sklearn(asked: list[str], buckets: int, signed: bool) -> None:
    hasher = FeatureHasher(buckets, input_type="string", alternate_sign=signed)
    step = Hash(inputs=("carrier",), buckets=buckets, named=False, signed=signed)
    theirs = hasher.transform([[text] for text in asked]).toarray()
    np.testing.assert_array_equal(matrix(compiled(step), text_rows(asked)), theirs)


@given(st.lists(st.tuples(st.text(max_size=9), st.integers(-99, 99)), min_size=1, max_size=20))
def test_hash_by_name__equals_sklearn(asked: list[tuple[str, int]]) -> None:
    step = Hash(inputs=("carrier", "month"), buckets=5)
    rows: list[Row] = [(1.0, 1.0, month, text, True, "jet") for text, month in asked]
    theirs = FeatureHasher(5).transform(
        [{"carrier": text, "month": month} for text, month in asked]
    )
    np.testing.assert_array_equal(matrix(compiled(step), rows), theirs.toarray())


@given(st.binary(max_size=40), st.integers(0, 2**31 - 1))
def test_murmur__equals_sklearn(data: bytes, seed: int) -> None:
    assert murmur3_32(data, seed) == murmurhash3_32(data, seed, positive=True)


# Refused

DELAY = ("delay",)
CARRIER = ("carrier",)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Clip(inputs=("speed",), low=0.0), r"step 0 \(clip\), 'speed': is no feature"),
        (Clip(inputs=DELAY), "neither a low nor a high"),
        (Clip(inputs=DELAY, low=2.0, high=1.0), "above its high bound"),
        (Clip(inputs=(), low=0.0), "no inputs"),
        (Clip(inputs=("delay", "delay"), low=0.0), "an input twice"),
        (Clip(inputs=DELAY, outputs=("a", "b"), low=0.0), "outputs has 2 entries"),
        (Log(inputs=CARRIER), "'carrier': is text"),
        (Log(inputs=DELAY, offset=math.inf), "finite"),
        (Standardise(inputs=DELAY, mean=(0.0,), scale=(0.0,)), "scale 0.0"),
        (Standardise(inputs=DELAY, mean=(), scale=(1.0,)), "mean has 0 entries"),
        (Impute(inputs=DELAY, values=("x",)), "'delay': is a number"),
        (Impute(inputs=CARRIER, values=(1.0,)), "'carrier': cannot become 1.0"),
        (Impute(inputs=DELAY, values=(math.nan,)), "cannot become nan"),
        (Impute(inputs=DELAY, values=(1.0,), indicators=("a", "b")), "indicators has 2"),
        (Onehot(inputs=CARRIER, categories=((1.0,),)), "'carrier': never equals 1.0"),
        (Onehot(inputs=CARRIER, categories=(("a", "a"),)), "no two the same"),
        (Onehot(inputs=CARRIER, categories=((),)), "needs categories"),
        (Onehot(inputs=CARRIER, categories=(("a",),), outputs=("p", "q")), "2 outputs for 1"),
        (Onehot(inputs=CARRIER, categories=(("a",),), unknown="refuse"), "needs `categories`"),
        (Onehot(inputs=("plane",), categories=(("jet",),), unknown="refuse"), "more categories"),
        (Ordinal(inputs=DELAY, categories=((1.0,),), unknown=math.inf), "finite number, or null"),
        (Hash(inputs=CARRIER, buckets=0), "out of range"),
        (Hash(inputs=CARRIER, buckets=2, outputs=("h",)), "1 outputs for 2 buckets"),
        (Hash(inputs=DELAY, buckets=2, named=False), "'delay': is a number"),
        (Hash(inputs=DELAY, buckets=2, index=True), "only text is hashed"),
    ],
)
def test_compile__impossible_step__is_named(step: Step, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        compiled(step, columns=("month",))


@pytest.mark.parametrize(
    ("column", "datatype", "words"),
    [
        ("nowhere", "FP32", "names no column 'nowhere'"),
        ("carrier", "FP32", "'carrier' does not fit"),
        ("month", "BYTES", "'month' does not fit"),
        ("delay", "INT64", "may be missing"),
        ("month", "INT64", "would lose its fraction"),
        ("plane", "BOOL", "is not 0 or 1"),
    ],
)
def test_compile__tensor_that_cannot_hold_a_column__is_named(
    column: str, datatype: Datatype, words: str
) -> None:
    steps = (
        Clip(inputs=("month",), high=0.5),
        Ordinal(inputs=("plane",), categories=(("jet", "prop"),), refuse=True),
    )
    with pytest.raises(SchemaError, match=words):
        compiled(*steps, columns=(column,), datatype=datatype)
