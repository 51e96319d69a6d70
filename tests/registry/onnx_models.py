"""Small ONNX graphs for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CARRIERS = ("AA", "UA")


def late_model(*, bias: float = 0.0, scale: float = 1.0, output: str = "probabilities") -> bytes:
    """`carrier` string [N, 1] and `numeric` float [N, 2] -> probabilities [N, 2].

    Class 1 has sigmoid(0.01 x (first + second) + 1 if the carrier is UA + bias); `scale` other
    than 1 makes it no probability.
    """
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["carrier"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=list(CARRIERS),
            values_floats=[0.0, 1.0],
            default_float=0.5,
        ),
        helper.make_node("MatMul", ["numeric", "weights"], ["linear"]),
        helper.make_node("Sum", ["linear", "code", "bias"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["share"]),
        helper.make_node("Mul", ["share", "scale"], ["late"]),
        helper.make_node("Sub", ["one", "late"], ["on_time"]),
        helper.make_node("Concat", ["on_time", "late"], [output], axis=1),
    ]
    constants = {
        "weights": np.array([[0.01], [0.01]], np.float32),
        "bias": np.array([[bias]], np.float32),
        "scale": np.array([[scale]], np.float32),
        "one": np.array([[1.0]], np.float32),
    }
    inputs = [tensor("carrier", 1, TensorProto.STRING), tensor("numeric", 2)]
    return build(nodes, inputs, [tensor(output, 2)], constants)


def linear_model(weights: Sequence[float]) -> bytes:
    """`x` float [N, weights] -> probabilities [N, 2]; class 1 has sigmoid(x . weights)."""
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["late"]),
        helper.make_node("Sub", ["one", "late"], ["on_time"]),
        helper.make_node("Concat", ["on_time", "late"], ["probabilities"], axis=1),
    ]
    constants = {
        "weights": np.array(weights, np.float32).reshape(-1, 1),
        "one": np.array([[1.0]], np.float32),
    }
    return build(nodes, [tensor("x", len(weights))], [tensor("probabilities", 2)], constants)


def tensor(name: str, width: int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """A graph input or output `[batch, width]`."""
    return helper.make_tensor_value_info(name, kind, ["batch", width])


def build(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, "np.ndarray[Any, Any]"],
) -> bytes:
    """A serialised model of these parts."""
    graph = helper.make_graph(
        nodes,
        "test",
        inputs,
        outputs,
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def identity_model(inputs: Mapping[str, tuple[int, int]]) -> bytes:
    """Inputs name -> (element type, width); answers the first of them as `probabilities`."""
    tensors = [tensor(name, width, kind) for name, (kind, width) in inputs.items()]
    first = tensors[0]
    width = first.type.tensor_type.shape.dim[1].dim_value
    answer = tensor("probabilities", width, first.type.tensor_type.elem_type)
    node = helper.make_node("Identity", [first.name], ["probabilities"])
    return build([node], tensors, [answer], {})


def greedy_model() -> bytes:
    """Has the inputs and the output of `late_model`, and asks for 160 GB on the way."""
    nodes = [
        helper.make_node("Shape", ["numeric"], ["size"]),
        helper.make_node("Mul", ["size", "factor"], ["large"]),
        helper.make_node("ConstantOfShape", ["large"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["nothing"]),
        helper.make_node("Add", ["numeric", "nothing"], ["probabilities"]),
    ]
    constants = {"factor": np.array([100_000, 100_000], np.int64)}
    inputs = [tensor("carrier", 1, TensorProto.STRING), tensor("numeric", 2)]
    return build(nodes, inputs, [tensor("probabilities", 2)], constants)
