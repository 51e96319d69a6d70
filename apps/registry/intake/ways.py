"""How a logged model comes in: as the ONNX it is, converted, or kept as it is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apps.registry.errors import SchemaMismatch, UnreadableArtifact
from apps.registry.mlflow.mlmodel import MlModel
from apps.registry.onnx_graph import Graph, Port

CONVERTED = ("sklearn", "xgboost", "lightgbm")
DATATYPES = {
    "float32": "FP32",
    "float64": "FP64",
    "int64": "INT64",
    "bool": "BOOL",
    "str": "BYTES",
    "object": "BYTES",
}
ONNX, TORCHSCRIPT, PLANS = ".onnx", (".pt", ".ts", ".torchscript"), (".plan", ".engine")


@dataclass(frozen=True)
class Way:
    """`data` is the one file of "onnx" and "convert"; `files` are those of "opaque".

    `backend` is the backend of Triton that loads it, empty where there is none.
    """

    kind: Literal["onnx", "convert", "opaque"]
    data: str = ""
    files: tuple[str, ...] = ()
    backend: str = "onnxruntime"


def way_of(mlmodel: MlModel, files: Mapping[str, int]) -> Way:
    """Raises UnreadableArtifact for a model that nothing can be done with."""
    if mlmodel.framework == "onnx":
        return Way("onnx", mlmodel.data)
    if mlmodel.framework in CONVERTED:
        return Way("convert", mlmodel.data)
    exported = [path for path in files if path.endswith(ONNX)]
    if len(exported) == 1:
        return Way("onnx", exported[0])
    return _opaque(mlmodel, sorted(files))


def _opaque(mlmodel: MlModel, paths: Sequence[str]) -> Way:
    own = tuple(p for p in paths if p == mlmodel.data or p.startswith(f"{mlmodel.data}/"))
    plans = tuple(path for path in paths if path.endswith(PLANS))
    scripts = tuple(path for path in paths if path.endswith(TORCHSCRIPT))
    if mlmodel.framework == "tensorrt":
        return Way("opaque", files=plans or own, backend="tensorrt")
    if mlmodel.framework == "tensorflow":
        saved = any(path.endswith("saved_model.pb") for path in own)
        return Way("opaque", files=own, backend="tensorflow" if saved else "")
    if mlmodel.framework == "pytorch":
        # A pickled module is kept for whoever trained it; no backend of Triton opens one.
        return Way("opaque", files=scripts or own, backend="pytorch" if scripts else "")
    raise UnreadableArtifact(f"a {mlmodel.framework} model cannot be taken", field="artifact_path")


def graph_of_signature(signature: Mapping[str, Any]) -> Graph:
    """Inputs and outputs as the signature's tensors name them: an opaque artifact says nothing.

    Raises SchemaMismatch when they are no named tensors.
    """
    return Graph(_ports(signature, "inputs"), _ports(signature, "outputs"))


def _ports(signature: Mapping[str, Any], side: str) -> tuple[Port, ...]:
    entries = signature.get(side) or []
    ports = tuple(_port(entry) for entry in entries)
    if not ports:
        said = f"an artifact that is kept as it is needs a signature with {side} as named tensors"
        raise SchemaMismatch(said, field="artifact_path")
    return ports


def _port(entry: Mapping[str, Any]) -> Port:
    spec = entry.get("tensor-spec") or entry
    name, shape = str(entry.get("name") or ""), spec.get("shape")
    if entry.get("type") != "tensor" or not name or not isinstance(shape, list):
        said = f"{name or entry.get('type')!r} of the signature is no named tensor"
        raise SchemaMismatch(said, field="artifact_path")
    sizes = tuple(int(size) if int(size) > 0 else None for size in shape)
    return Port(name, DATATYPES.get(str(spec.get("dtype")), str(spec.get("dtype"))), sizes)
