"""A small ONNX classifier with one input of each kind, and what is known about it."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec

SCHEMA = ModelSchema(
    features=(
        FeatureSpec(name="a", kind="float"),
        FeatureSpec(name="b", kind="float", minimum=2.0),
        FeatureSpec(name="row", kind="integer"),
        FeatureSpec(name="carrier", kind="string", categories=("AA", "UA")),
    ),
    tensors=(
        TensorSpec(name="x", datatype="FP32", features=("a", "b")),
        TensorSpec(name="row", datatype="INT64", features=("row",)),
        TensorSpec(name="carrier", datatype="BYTES", features=("carrier",)),
    ),
    output=OutputSpec(tensor="probabilities"),
)


def classifier(*, offset: float = 0.0) -> bytes:
    """p = sigmoid(a + b + table[row] + carrier + offset); rows beyond the table of 3 fail."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=1),
            helper.make_node("Gather", ["table", "row"], ["looked_up"]),
            helper.make_node(
                "LabelEncoder",
                ["carrier"],
                ["carrier_value"],
                domain="ai.onnx.ml",
                keys_strings=["AA", "UA"],
                values_floats=[1.0, 2.0],
                default_float=0.0,
            ),
            helper.make_node("Sum", ["sum", "looked_up", "carrier_value", "offset"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["p1"]),
            helper.make_node("Sub", ["one", "p1"], ["p0"]),
            helper.make_node("Concat", ["p0", "p1"], ["probabilities"], axis=1),
        ],
        "classifier",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("row", TensorProto.INT64, [None, 1]),
            helper.make_tensor_value_info("carrier", TensorProto.STRING, [None, 1]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [
            from_array(np.array([1], dtype=np.int64), "axis"),
            from_array(np.array([0.0, 1.0, 2.0], dtype=np.float32), "table"),
            from_array(np.array([1.0], dtype=np.float32), "one"),
            from_array(np.array([offset], dtype=np.float32), "offset"),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def linear(weights: list[float], intercept: float) -> bytes:
    """y = x . weights + intercept, [rows, 1]."""
    return _dense(np.array([weights]).T, [intercept], "y", [])


def multiclass() -> bytes:
    """p = softmax(x), [rows, 3]."""
    return _dense(np.eye(3), [0.0] * 3, "p", [helper.make_node("Softmax", ["sum"], ["p"])])


def _dense(
    weights: "np.ndarray[Any, Any]", bias: list[float], output: str, then: list[onnx.NodeProto]
) -> bytes:
    summed = "sum" if then else output
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], [summed]),
            *then,
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, len(weights)])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, len(bias)])],
        [
            from_array(weights.astype(np.float32), "weights"),
            from_array(np.array(bias, dtype=np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
