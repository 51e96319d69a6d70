"""Reading inputs and outputs of ONNX bytes."""

import contextlib
import io

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from apps.registry.onnx_graph import Graph, NotOnnx, Port, read_graph
from tests.registry.onnx_models import build, late_model, tensor


def read(data: bytes) -> Graph:
    return read_graph(io.BytesIO(data), size=len(data))


def test_graph__two_inputs__names_types_and_sizes() -> None:
    assert read(late_model()) == Graph(
        inputs=(Port("carrier", "BYTES", (None, 1)), Port("numeric", "FP32", (None, 2))),
        outputs=(Port("probabilities", "FP32", (None, 2)),),
    )


def test_graph__weights_listed_as_inputs__left_out() -> None:
    node = helper.make_node("Add", ["x", "weight"], ["y"])
    constants = {"weight": np.ones((1, 2), np.float32)}
    inputs = [tensor("x", 2), helper.make_tensor_value_info("weight", TensorProto.FLOAT, [1, 2])]
    found = read(build([node], inputs, [tensor("y", 2)], constants))
    assert [port.name for port in found.inputs] == ["x"]


def test_graph__large_weights__are_not_read() -> None:
    class Counting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            Counting.read_bytes += len(data)
            return data

    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    constants = {"weight": np.ones((2, 1_000_000), np.float32)}
    data = build([node], [tensor("x", 2)], [tensor("y", 1_000_000)], constants)
    assert read_graph(Counting(data), size=len(data)).inputs[0].name == "x"
    assert Counting.read_bytes < 1_000 < len(data)


def test_graph__weights_in_other_files__refused() -> None:
    model = onnx.load_from_string(late_model())
    for weight in model.graph.initializer:
        weight.ClearField("raw_data")
        onnx.external_data_helper.set_external_data(_with_raw(weight), location="../../etc/passwd")
    with pytest.raises(NotOnnx, match="other files"):
        read(model.SerializeToString())


def _with_raw(weight: onnx.TensorProto) -> onnx.TensorProto:
    weight.raw_data = b"\0\0\0\0"
    return weight


def test_graph__classifier_with_zipmap__says_what_to_do() -> None:
    output = helper.make_tensor_sequence_value_info("scores", TensorProto.FLOAT, None)
    graph = helper.make_graph([], "g", [tensor("x", 1)], [output])
    with pytest.raises(NotOnnx, match="zipmap"):
        read(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95 a pickle", b"PK\x03\x04", b"\x3a\xff\xff"])
def test_graph__other_files__refused(data: bytes) -> None:
    with pytest.raises(NotOnnx):
        read(data)


@given(st.integers(0, 600), st.integers(0, 255))
def test_graph__any_damaged_byte__is_read_or_refused_but_never_crashes(at: int, byte: int) -> None:
    data = bytearray(late_model())
    data[at % len(data)] = byte
    with contextlib.suppress(NotOnnx):
        read(bytes(data))


@given(st.binary(max_size=200))
def test_graph__any_bytes__are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(NotOnnx):
        read(data)


def test_graph__half_precision_weights__names_the_type() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    half = TensorProto.FLOAT16
    found = read(build([node], [tensor("x", 1, half)], [tensor("y", 1, half)], {}))
    assert found.inputs[0].datatype == "FLOAT16"


def test_graph__constants_of_numpy__agree_with_onnx_itself() -> None:
    model = onnx.load_from_string(late_model())
    weights = {weight.name for weight in model.graph.initializer}
    assert numpy_helper.to_array(model.graph.initializer[0]).shape == (2, 1)
    assert not weights & {port.name for port in read(late_model()).inputs}
