"""Open Inference Protocol tensors to rows of features, and outputs back to tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from contracts.schema import FeatureSpec, TensorSpec
from dataplane.gateway.decode import invalid_features
from dataplane.gateway.problems import FieldError, Refusal
from dataplane.gateway.row import Row
from dataplane.gateway.table import Variant
from serving.validation import Fault, InvalidFeatures
from serving.validation import Row as Values

MAX_ROWS = 256
_NUMPY = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
_CONTENTS = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT64": "int64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}


def read_rows(request: Any, variant: Variant) -> list[Values]:
    """The rows of a ModelInferRequest by the variant's schema. Raises Refusal 422."""
    given = _by_name(request)
    tensors = variant.spec.schema.tensors
    _require_names(given, [tensor.name for tensor in tensors], variant.endpoint)
    columns = [_cells(given[tensor.name], tensor, variant) for tensor in tensors]
    counts = {len(rows) for rows in columns}
    if len(counts) != 1 or not 1 <= max(counts) <= MAX_ROWS:
        detail = f"all tensors need the same number of rows, 1 to {MAX_ROWS}"
        raise _refusal("$.inputs", detail, variant.endpoint)
    features = {feature.name: feature for feature in variant.spec.schema.features}
    found: list[Values] = []
    for number in range(max(counts)):
        row: dict[str, object] = {}
        for tensor, rows in zip(tensors, columns, strict=True):
            row |= zip(tensor.features, rows[number], strict=True)
        values = {name: _value(value, features[name]) for name, value in row.items()}
        found.append(_checked(values, variant, number))
    return found


def _by_name(request: Any) -> dict[str, tuple[Any, bytes | None]]:
    raw: Sequence[bytes | None] = list(request.raw_input_contents) or [None] * len(request.inputs)
    if len(raw) != len(request.inputs):
        raise _refusal("$.raw_input_contents", "must have one entry per input", "")
    return {each.name: (each, data) for each, data in zip(request.inputs, raw, strict=True)}


def _require_names(given: dict[str, Any], wanted: list[str], endpoint: str) -> None:
    errors = [FieldError(f"$.inputs.{n}", "is required") for n in wanted if n not in given]
    errors += [FieldError(f"$.inputs.{n}", "is not an input") for n in given if n not in wanted]
    if errors:
        raise Refusal(
            422, "invalid_request", "the inputs do not fit", errors=errors, endpoint=endpoint
        )


def _cells(
    given: tuple[Any, bytes | None], tensor: TensorSpec, variant: Variant
) -> list[list[object]]:
    """The tensor's cells as `[rows][features]`."""
    declared, raw = given
    path, width = f"$.inputs.{tensor.name}", len(tensor.features)
    if declared.datatype != tensor.datatype:
        raise _refusal(path, f"must be {tensor.datatype}", variant.endpoint)
    shape = list(declared.shape)
    if shape[1:] != [width] or not 1 <= shape[0] <= MAX_ROWS:
        raise _refusal(path, f"must have shape [rows, {width}]", variant.endpoint)
    flat = _flat(declared, raw, tensor.datatype)
    if len(flat) != shape[0] * width:
        raise _refusal(path, "its contents do not fill its shape", variant.endpoint)
    return [flat[at : at + width] for at in range(0, len(flat), width)]


def _flat(declared: Any, raw: bytes | None, datatype: str) -> list[object]:
    if raw is None:
        return list(getattr(declared.contents, _CONTENTS[datatype]))
    if datatype == "BYTES":
        return _texts(raw)
    dtype = np.dtype(_NUMPY[datatype])
    usable = len(raw) - len(raw) % dtype.itemsize
    return list(np.frombuffer(raw[:usable], dtype=dtype).tolist())


def _texts(raw: bytes) -> list[object]:
    """Length-prefixed cells, as far as they are whole."""
    cells: list[object] = []
    at = 0
    while at + 4 <= len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        if end > len(raw):
            break
        cells.append(raw[at + 4 : end])
        at = end
    return cells


def _value(value: object, feature: FeatureSpec) -> object:
    """A tensor cell as the JSON value that it stands for; NaN is how tensors say "missing"."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        if value != value and (feature.nullable or not feature.required):
            return None
        if feature.kind == "integer" and value.is_integer():
            return int(value)
    return bool(value) if feature.kind == "boolean" and value in (0, 1) else value


def _checked(values: dict[str, object], variant: Variant, number: int) -> Values:
    present = {
        feature.name: values[feature.name]
        for feature in variant.spec.schema.features
        if feature.name in values
        and not (values[feature.name] is None and not feature.nullable and not feature.required)
    }
    try:
        return variant.schema.read(present)
    except InvalidFeatures as error:
        faults = [
            Fault(f"$.rows[{number}]{fault.path[1:]}", fault.detail, fault.feature, fault.kind)
            for fault in error.faults
        ]
        raise invalid_features(InvalidFeatures(faults), variant.endpoint) from error


def _refusal(path: str, detail: str, endpoint: str) -> Refusal:
    return Refusal(
        422, "invalid_request", detail, errors=[FieldError(path, detail)], endpoint=endpoint
    )


def joined_output(rows: Sequence[Row]) -> bytes:
    """The raw output tensor of settled rows, `[rows, width]`."""
    return b"".join(row.output for row in rows)
