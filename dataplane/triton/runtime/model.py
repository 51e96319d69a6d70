"""Runs the `model.onnx` beside this file in Triton's Python backend.

The same file serves every model: names, types and shapes come from the ONNX graph and from the
entry's configuration. The puller puts it in place; it never comes from the object store.
It runs in Triton's environment (numpy < 2) and imports nothing of ours.
"""

import json
import os
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

GRAPH_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
WARM_UP_SIZES = (1, 64)

Tensors = dict[str, Any]


class GraphInput:
    """One input of the graph: its numpy type, and whether it takes `[rows]` or `[rows, k]`."""

    def __init__(self, node: Any) -> None:
        if node.type not in GRAPH_TYPES:
            raise ValueError(f"input {node.name!r} has unsupported type {node.type}")
        self.name: str = node.name
        self.dtype = GRAPH_TYPES[node.type]
        self.flat = len(node.shape) == 1

    def prepare(self, array: Any) -> Any:
        """The array as the graph wants it."""
        if self.dtype is np.object_:
            array = _as_text(array)
        else:
            array = array.astype(self.dtype, copy=False)
        return array.reshape(-1) if self.flat else array


def _as_text(array: Any) -> Any:
    """Triton hands strings over as bytes objects; onnxruntime takes str."""
    cells = [c.decode("utf-8") if isinstance(c, bytes) else str(c) for c in array.ravel()]
    return np.array(cells, dtype=np.object_).reshape(array.shape)


def _session(path: str) -> Any:
    """One thread per instance: Triton's instance count is what sets the parallelism."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a failed row is answered as an error, not logged
    return ort.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])


class OnnxModel:
    """The graph with the outputs that the configuration asks for."""

    def __init__(self, path: str, config: dict[str, Any]) -> None:
        self.session = _session(path)
        graph_inputs = {node.name: node for node in self.session.get_inputs()}
        graph_outputs = {node.name: node for node in self.session.get_outputs()}
        names = [item["name"] for item in config["input"]]
        if set(names) != set(graph_inputs):
            raise ValueError(f"configured inputs {names} are not the graph's {list(graph_inputs)}")
        self.inputs = [GraphInput(graph_inputs[name]) for name in names]
        self.outputs: list[tuple[str, Any, int]] = []
        for item in config["output"]:
            node = graph_outputs.get(item["name"])
            if node is None or not node.type.startswith("tensor("):
                raise ValueError(f"output {item['name']!r} is not a tensor of the graph")
            dtype = pb_utils.triton_string_to_numpy(item["data_type"])
            self.outputs.append((item["name"], dtype, int(item["dims"][-1])))

    def run(self, tensors: Tensors) -> Tensors:
        """Outputs `[rows, width]` for inputs `[rows, k]`."""
        feed = {each.name: each.prepare(tensors[each.name]) for each in self.inputs}
        results = self.session.run([name for name, _, _ in self.outputs], feed)
        return {
            name: np.asarray(result).astype(dtype, copy=False).reshape(-1, width)
            for (name, dtype, width), result in zip(self.outputs, results, strict=True)
        }


def _warm_up(model: OnnxModel, parameters: dict[str, Any]) -> None:
    """Run a typical row, so that the first caller does not pay for lazy initialisation.

    A row that the model rejects is no reason not to load it: the test prediction that follows a
    load uses the version's real example.
    """
    row = json.loads(parameters.get("warm_up", {}).get("string_value") or "null")
    if not row:
        return
    for size in WARM_UP_SIZES:
        batch = {
            name: np.array([cells] * size, dtype=object if isinstance(cells[0], str) else None)
            for name, cells in row.items()
        }
        try:
            model.run(batch)
        except Exception as error:  # onnxruntime raises many kinds
            pb_utils.Logger.log_warn(f"warm-up with {size} rows failed: {error}")


def _respond(outputs: Tensors) -> Any:
    return pb_utils.InferenceResponse([pb_utils.Tensor(n, a) for n, a in outputs.items()])


def _refuse(error: Exception) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))


class TritonPythonModel:
    """What Triton's Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load `<entry>/<version>/model.onnx`; what is raised here fails the load."""
        config = json.loads(args["model_config"])
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.model = OnnxModel(path, config)
        _warm_up(self.model, config.get("parameters", {}))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run all requests as one batch; if that fails, each alone, so that each fails alone."""
        inputs = [self._tensors(request) for request in requests]
        if len(inputs) > 1:
            try:
                return self._together(inputs)
            except Exception as error:  # onnxruntime raises many kinds
                pb_utils.Logger.log_verbose(f"batch of {len(inputs)} failed: {error}")
        return [self._alone(tensors) for tensors in inputs]

    def _tensors(self, request: Any) -> Tensors:
        return {
            each.name: pb_utils.get_input_tensor_by_name(request, each.name).as_numpy()
            for each in self.model.inputs
        }

    def _together(self, inputs: list[Tensors]) -> list[Any]:
        joined = {name: np.concatenate([tensors[name] for tensors in inputs]) for name in inputs[0]}
        outputs = self.model.run(joined)
        stops = np.cumsum([len(next(iter(tensors.values()))) for tensors in inputs])[:-1]
        parts = {name: np.split(array, stops) for name, array in outputs.items()}
        return [
            _respond({name: pieces[index] for name, pieces in parts.items()})
            for index in range(len(inputs))
        ]

    def _alone(self, tensors: Tensors) -> Any:
        try:
            return _respond(self.model.run(tensors))
        except Exception as error:  # onnxruntime raises many kinds
            return _refuse(error)
