"""Triton's `config.pbtxt` for one model version, written from its schema alone."""

import json
from collections.abc import Mapping
from typing import Literal

import msgspec

from contracts.schema import FeatureSpec, ModelSchema, TensorSpec
from serving.packing import Cell, unpack
from serving.validation import compile_schema

MAX_BATCH_SIZE = 64
WARM_UP_PARAMETER = "warm_up"
PYTHON_RUNTIME: "Runtime" = "python-onnx"
NATIVE_RUNTIME: "Runtime" = "onnxruntime"
EXPLAIN_RUNTIME = "python-explain"

Runtime = Literal["python-onnx", "onnxruntime"]

_TYPES: Mapping[str, str] = {
    "FP32": "TYPE_FP32",
    "FP64": "TYPE_FP64",
    "INT64": "TYPE_INT64",
    "BOOL": "TYPE_BOOL",
    "BYTES": "TYPE_STRING",
}


def config_pbtxt(
    schema: ModelSchema, entry: str, replicas: int, *, runtime: Runtime = PYTHON_RUNTIME
) -> str:
    """The model configuration of `entry` with `replicas` instances on one server.

    "python-onnx" is the fixed runtime beside this file, "onnxruntime" Triton's own backend.
    Raises ValueError when `replicas` is below 1.
    """
    if replicas < 1:
        raise ValueError("replicas must be at least 1")
    output = schema.output
    blocks = [
        f'name: "{entry}"',
        f'backend: "{"python" if runtime == PYTHON_RUNTIME else "onnxruntime"}"',
        f"max_batch_size: {MAX_BATCH_SIZE}",
        *(tensor_block("input", t.name, t.datatype, len(t.features)) for t in schema.tensors),
        tensor_block("output", output.tensor, output.datatype, output.width),
        f"instance_group [ {{ count: {replicas} kind: KIND_CPU }} ]",
        "dynamic_batching { }",
        _warm_up(schema, runtime),
    ]
    return "\n".join(blocks) + "\n"


def triton_type(datatype: str) -> str:
    """Triton's name of a tensor type."""
    return _TYPES[datatype]


def tensor_block(block: str, name: str, datatype: str, width: int) -> str:
    """The declaration of one tensor; `block` is "input" or "output"."""
    return f"{block} [ {{ name: {quoted(name)} data_type: {_TYPES[datatype]} dims: [ {width} ] }} ]"


def quoted(text: str) -> str:
    """A string in protobuf's text format; JSON escapes are a subset of its own for ASCII."""
    return json.dumps(text)


def _warm_up(schema: ModelSchema, runtime: Runtime) -> str:
    if runtime == PYTHON_RUNTIME:
        value = quoted(msgspec.json.encode(warm_up_row(schema)).decode())
        return f'parameters {{ key: "{WARM_UP_PARAMETER}" value: {{ string_value: {value} }} }}'
    inputs = " ".join(_zero_input(tensor) for tensor in schema.tensors)
    return f'model_warmup [ {{ name: "zeros" batch_size: 1 {inputs} }} ]'


def _zero_input(tensor: TensorSpec) -> str:
    value = f"data_type: {_TYPES[tensor.datatype]} dims: [ {len(tensor.features)} ] zero_data: true"
    return f"inputs {{ key: {quoted(tensor.name)} value: {{ {value} }} }}"


def warm_up_row(schema: ModelSchema) -> dict[str, list[Cell]]:
    """One valid row, per tensor, made of what the schema allows each feature to be."""
    typical = typical_row(schema)
    if schema.preprocessing:
        packed = compile_schema(schema).pack([tuple(typical.values())])
        return {
            tensor.name: unpack(tensor, data)
            for tensor, data in zip(schema.tensors, packed, strict=True)
        }
    return {
        tensor.name: [_cell(typical[name], tensor) for name in tensor.features]
        for tensor in schema.tensors
    }


def typical_row(schema: ModelSchema) -> dict[str, Cell]:
    """A value that the schema allows, for each feature in its order."""
    return {feature.name: _typical(feature) for feature in schema.features}


def _cell(value: Cell, tensor: TensorSpec) -> Cell:
    if isinstance(value, str):
        return value
    if tensor.datatype == "BOOL":
        return bool(value)
    return int(value) if tensor.datatype == "INT64" else float(value)


def _typical(feature: FeatureSpec) -> Cell:
    if feature.kind == "string":
        return _typical_text(feature)
    number = _typical_number(feature)
    if feature.kind == "boolean":
        return bool(number)
    return int(number) if feature.kind == "integer" else number


def _typical_text(feature: FeatureSpec) -> str:
    if isinstance(feature.default, str):
        return feature.default
    return feature.categories[0] if feature.categories else ""


def _typical_number(feature: FeatureSpec) -> float:
    """The default, else the number nearest to zero that the bounds allow."""
    if isinstance(feature.default, int | float):
        return float(feature.default)
    low = feature.minimum if feature.minimum is not None else float("-inf")
    high = feature.maximum if feature.maximum is not None else float("inf")
    return float(min(max(0.0, low), high))
