"""The model that KServe's examples ask: four measurements of a flower, three classes."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks import rig
from contracts.routing import EndpointSpec
from contracts.schema import FeatureSpec, Labelling, ModelSchema, OutputSpec, TensorSpec
from dataplane.triton.config import config_pbtxt
from dataplane.triton.control import TritonControl
from dataplane.triton.repository import RUNTIME_FILE

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
SPECIES = {"0": "setosa", "1": "versicolor", "2": "virginica"}
SCHEMA = ModelSchema(
    features=tuple(FeatureSpec(name=name, kind="float", minimum=0.0) for name in NAMES),
    tensors=(TensorSpec(name="X", datatype="FP32", features=NAMES),),
    output=OutputSpec(tensor="probabilities", kind="multiclass", width=3),
)
WEIGHTS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], dtype=np.float32)


def install(environment: Mapping[str, str]) -> None:
    """Put the model into Triton's repository and load it."""
    home = Path(environment["TRITON_REPOSITORY"]) / "iris-v1"
    (home / "1").mkdir(parents=True, exist_ok=True)
    (home / "config.pbtxt").write_text(config_pbtxt(SCHEMA, "iris-v1", 1))
    (home / "1" / "model.onnx").write_bytes(_model())
    shutil.copyfile(RUNTIME_FILE, home / "1" / "model.py")
    TritonControl(environment["TRITON_URL"], environment["TRITON_CONTROL_KEY"], 60.0).load(
        "iris-v1"
    )


def endpoint(address: str) -> EndpointSpec:
    """The endpoint "sklearn-iris"."""
    variant = rig.variant(
        1,
        address,
        version="iris/1",
        entry="iris-v1",
        schema=SCHEMA,
        labelling=Labelling(labels=SPECIES),
    )
    return rig.endpoint([variant], name="sklearn-iris")


def expected(rows: list[list[float]]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """What the model answers."""
    powers = np.exp(np.asarray(rows, dtype=np.float32) @ WEIGHTS)
    shares: np.ndarray[tuple[int, int], np.dtype[np.float32]] = powers / powers.sum(
        1, keepdims=True
    )
    return shares


def _model() -> bytes:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["X", "weights"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        ],
        "iris",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(WEIGHTS, "weights")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
