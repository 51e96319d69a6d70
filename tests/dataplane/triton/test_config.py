"""config.pbtxt is written from the schema alone."""

import msgspec
import pytest

from contracts.preprocessing import Ordinal, Standardise
from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from dataplane.triton.config import config_pbtxt, warm_up_row
from tests.dataplane.triton.models import SCHEMA

GOLDEN = r"""name: "flights-v2"
backend: "python"
max_batch_size: 64
input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]
input [ { name: "row" data_type: TYPE_INT64 dims: [ 1 ] } ]
input [ { name: "carrier" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "probabilities" data_type: TYPE_FP32 dims: [ 2 ] } ]
instance_group [ { count: 3 kind: KIND_CPU } ]
dynamic_batching { }
parameters { key: "warm_up" value: { string_value: "{\"x\":[0.0,2.0],\"row\":[0],\"carrier\":[\"AA\"]}" } }
"""  # noqa: E501


def test_config__python_runtime__is_golden() -> None:
    assert config_pbtxt(SCHEMA, "flights-v2", 3) == GOLDEN


def test_config__native_runtime__uses_tritons_own_warm_up() -> None:
    text = config_pbtxt(SCHEMA, "flights-v2", 1, runtime="onnxruntime")
    assert 'backend: "onnxruntime"' in text
    assert "model_warmup" in text
    assert text.count("zero_data: true") == 3


def test_config__no_replicas__refused() -> None:
    with pytest.raises(ValueError, match="replicas"):
        config_pbtxt(SCHEMA, "flights-v2", 0)


def test_warm_up__with_preprocessing__is_a_prepared_row() -> None:
    steps = (
        Standardise(inputs=("b",), mean=(1.0,), scale=(2.0,)),
        Ordinal(inputs=("carrier",), outputs=("code",), categories=(("UA", "AA"),), refuse=True),
    )
    tensors = (
        TensorSpec(name="x", datatype="FP32", features=("a", "b")),
        TensorSpec(name="code", datatype="INT64", features=("code",)),
    )
    schema = msgspec.structs.replace(SCHEMA, tensors=tensors, preprocessing=steps)
    assert warm_up_row(schema) == {"x": [0.0, 0.5], "code": [1]}


@pytest.mark.parametrize(
    ("feature", "datatype", "expected"),
    [
        (FeatureSpec(name="f", kind="float", default=3.5), "FP32", 3.5),
        (FeatureSpec(name="f", kind="float", maximum=-1.0), "FP64", -1.0),
        (FeatureSpec(name="f", kind="integer", minimum=7), "INT64", 7),
        (FeatureSpec(name="f", kind="boolean"), "BOOL", False),
        (FeatureSpec(name="f", kind="string", default="x"), "BYTES", "x"),
        (FeatureSpec(name="f", kind="string"), "BYTES", ""),
    ],
)
def test_warm_up_row__one_feature__is_what_the_schema_allows(
    feature: FeatureSpec, datatype: str, expected: object
) -> None:
    tensor = TensorSpec(name="t", datatype=datatype, features=("f",))  # type: ignore[arg-type]
    schema = ModelSchema(features=(feature,), tensors=(tensor,), output=OutputSpec(tensor="p"))
    assert warm_up_row(schema) == {"t": [expected]}
