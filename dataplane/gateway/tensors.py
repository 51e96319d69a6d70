"""Open Inference Protocol tensors to rows of features, and answers back to tensors.

An input is named like one of the version's tensors, `[rows, width]`, or like one of its features,
`[rows]` or `[rows, 1]`; together they give each feature at most once. Where the version has a
single tensor, a single input of its width may have any name. NaN stands for "missing".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contracts.schema import Datatype, FeatureKind, FeatureSpec, TensorSpec
from dataplane.gateway.decode import MAX_ROWS, invalid_features
from dataplane.gateway.problems import FieldError, Refusal
from dataplane.gateway.row import Row
from dataplane.gateway.table import Variant
from serving.validation import CompiledSchema, Fault, InvalidFeatures
from serving.validation import Row as Values

NUMPY = {
    "BOOL": "?",
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}
_FEATURE_TYPES: Mapping[FeatureKind, Datatype] = {
    "float": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "string": "BYTES",
}
_NUMBERS = frozenset(NUMPY)


class Tensor(NamedTuple):
    """An input as a client sent it: `cells` row by row, flat or nested, or else their bytes."""

    name: str
    datatype: str
    shape: Sequence[int]
    cells: Sequence[object] | None
    raw: bytes | None


class Output(NamedTuple):
    """A tensor of the answer; its bytes as the protocol's binary form has them."""

    name: str
    datatype: str
    shape: tuple[int, int]
    raw: bytes

    def cells(self) -> list[object]:
        """The values, flat."""
        if self.datatype == "BYTES":
            return [text.decode() for text in _texts(self.raw)]
        return list(np.frombuffer(self.raw, dtype=NUMPY[self.datatype]).tolist())


class Inputs:
    """The inputs that a version takes; `declared` are those that its metadata names."""

    def __init__(self, schema: CompiledSchema) -> None:
        self.features = {feature.name: feature for feature in schema.schema.features}
        singles = {name: _single(feature) for name, feature in self.features.items()}
        together = {tensor.name: tensor for tensor in schema.inputs}
        covered = {name for tensor in schema.inputs for name in tensor.features}
        apart = [single for name, single in singles.items() if name not in covered]
        self.declared = (*schema.inputs, *apart)
        self._by_name = {**singles, **together}

    def find(self, given: Sequence[Tensor]) -> Iterator[tuple[Tensor, TensorSpec | None]]:
        """Each input with the tensor or feature that it stands for; None = nothing here."""
        for tensor in given:
            spec = self._by_name.get(tensor.name)
            if spec is None and len(given) == len(self.declared) == 1:
                spec = self.declared[0]
            yield tensor, spec

    def may_lack(self, tensor: TensorSpec) -> bool:
        """Whether a request may do without this input."""
        return not any(self.features[name].required for name in tensor.features)


@lru_cache(maxsize=4_096)
def inputs_of(schema: CompiledSchema) -> Inputs:
    """The inputs of a schema, made once."""
    return Inputs(schema)


def read_rows(given: Sequence[Tensor], variant: Variant) -> list[Values]:
    """The rows that the inputs hold, by the variant's schema.

    Raises Refusal 422 with every input that does not fit, or else every fault of every row.
    """
    inputs = inputs_of(variant.schema)
    columns: dict[str, list[object]] = {}
    errors: list[FieldError] = []
    for tensor, spec in inputs.find(given):
        try:
            columns |= _columns(tensor, spec, inputs, columns)
        except _Misfit as misfit:
            errors.append(FieldError(f"$.inputs.{tensor.name[:100]}", str(misfit)))
    lacking = [name for name, f in inputs.features.items() if f.required and name not in columns]
    if not errors and len({len(cells) for cells in columns.values()}) > 1:
        errors.append(FieldError("$.inputs", "all inputs need the same number of rows"))
    if not errors and lacking:
        raise _lacking(lacking, inputs, variant)
    if errors or not columns:
        raise _refusal(errors or [FieldError("$.inputs", "must not be empty")], variant)
    try:
        return variant.schema.read_rows(_rows(columns, inputs), "$.rows")
    except InvalidFeatures as error:
        raise invalid_features(error, variant.endpoint) from error


def outputs_of(rows: Sequence[Row], wanted: Sequence[str] = ()) -> list[Output]:
    """The tensors of settled rows, all or those wanted. Raises Refusal 422 for others."""
    variant = rows[0].variant
    declared = output_specs(variant)
    unknown = [name for name in wanted if name not in declared]
    if unknown:
        errors = [FieldError(f"$.outputs.{name[:100]}", "is not an output") for name in unknown]
        raise _refusal(errors, variant)
    return [_output(name, *declared[name], rows) for name in wanted or declared]


def output_specs(variant: Variant) -> dict[str, tuple[str, int]]:
    """Datatype and width of every output by name: the model's tensor, then what is known of it."""
    spec = variant.spec.schema.output
    known = {name: ("BYTES", 1) for name in ("label", "prediction_id") if name != spec.tensor}
    return {spec.tensor: (spec.datatype, spec.width), **known}


class _Misfit(ValueError):
    """Why an input cannot be read."""


def _single(feature: FeatureSpec) -> TensorSpec:
    """A feature as an input of its own."""
    return TensorSpec(
        name=feature.name, datatype=_FEATURE_TYPES[feature.kind], features=(feature.name,)
    )


def _columns(
    tensor: Tensor, spec: TensorSpec | None, inputs: Inputs, known: dict[str, list[object]]
) -> dict[str, list[object]]:
    """The input's cells by feature. Raises _Misfit."""
    if spec is None:
        raise _Misfit("is not an input of this model")
    if any(name in known for name in spec.features):
        raise _Misfit("gives a feature that another input gives too")
    if (tensor.datatype == "BYTES") != (spec.datatype == "BYTES") or (
        tensor.datatype not in _NUMBERS and tensor.datatype != "BYTES"
    ):
        raise _Misfit(f"must be {spec.datatype}")
    width = len(spec.features)
    rows = _row_count(tensor.shape, width)
    features = [inputs.features[name] for name in spec.features]
    if tensor.raw is not None and tensor.datatype != "BYTES":
        grid = _grid(tensor.raw, tensor.datatype, rows, width)
        columns = [_from_array(grid[:, at], feature) for at, feature in enumerate(features)]
    else:
        cells = _texts(tensor.raw) if tensor.raw is not None else _flat(tensor)
        if len(cells) != rows * width:
            raise _Misfit("its contents do not fill its shape")
        columns = [
            [_value(cell, feature) for cell in cells[at::width]]
            for at, feature in enumerate(features)
        ]
    return dict(zip(spec.features, columns, strict=True))


def _row_count(shape: Sequence[int], width: int) -> int:
    fits = list(shape[1:]) == [width] or (len(shape) == 1 and width == 1)
    if not fits or not 1 <= shape[0] <= MAX_ROWS:
        raise _Misfit(f"must have shape [rows, {width}] with 1 to {MAX_ROWS} rows")
    return shape[0]


def _grid(raw: bytes, datatype: str, rows: int, width: int) -> npt.NDArray[np.generic]:
    dtype = np.dtype(NUMPY[datatype])
    if len(raw) != rows * width * dtype.itemsize:
        raise _Misfit("its contents do not fill its shape")
    return np.frombuffer(raw, dtype=dtype).reshape(rows, width)


def _flat(tensor: Tensor) -> list[object]:
    """JSON cells without their nesting, which may be that of the shape or none."""
    cells: list[object] = list(tensor.cells or ())
    for _ in tensor.shape[1:]:
        if not all(isinstance(cell, list) for cell in cells):
            break
        cells = list(chain.from_iterable(cells))  # type: ignore[arg-type]  # all lists
    return cells


def _texts(raw: bytes) -> list[bytes]:
    """Length-prefixed cells. Raises _Misfit when the last is torn."""
    cells: list[bytes] = []
    at = 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        if at + 4 > len(raw) or end > len(raw):
            raise _Misfit("its contents do not fill its shape")
        cells.append(raw[at + 4 : end])
        at = end
    return cells


def _from_array(column: npt.NDArray[np.generic], feature: FeatureSpec) -> list[object]:
    """A column of numbers as JSON values; most need no look at each."""
    values: list[object] = column.tolist()
    kind = column.dtype.kind
    if feature.kind == "float" and kind == "f" and not np.isnan(column).any():
        return values
    if (feature.kind == "integer" and kind in "iu") or (feature.kind == "boolean" and kind == "b"):
        return values
    return [_value(value, feature) for value in values]


def _value(value: object, feature: FeatureSpec) -> object:
    """A tensor cell as the JSON value that it stands for."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        if value != value and (feature.nullable or not feature.required):
            return None
        if feature.kind == "integer" and value.is_integer():
            return int(value)
    if feature.kind == "boolean" and isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return value


def _rows(columns: dict[str, list[object]], inputs: Inputs) -> list[dict[str, object]]:
    """The columns turned into rows, without the cells that say "missing"."""
    names = tuple(columns)
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    optional = {n for n, f in inputs.features.items() if not f.required and not f.nullable}
    for name in optional & columns.keys():
        if None in columns[name]:
            for row in rows:
                if row[name] is None:
                    del row[name]
    return rows


def _lacking(names: Sequence[str], inputs: Inputs, variant: Variant) -> Refusal:
    """Features that no input gives: said once per input, counted once per feature."""
    faults = []
    for tensor in inputs.declared:
        missing = [name for name in tensor.features if name in names]
        at = tensor.name if len(missing) == len(tensor.features) else None
        faults += [
            Fault(f"$.inputs.{at or name}", "is required", name, "missing") for name in missing
        ]
    return invalid_features(InvalidFeatures(faults), variant.endpoint)


def _refusal(errors: Sequence[FieldError], variant: Variant) -> Refusal:
    detail = "the tensors do not fit"
    return Refusal(422, "invalid_request", detail, errors=errors, endpoint=variant.endpoint)


def _output(name: str, datatype: str, width: int, rows: Sequence[Row]) -> Output:
    if name == rows[0].variant.spec.schema.output.tensor:
        raw = b"".join(row.output for row in rows)
    elif name == "label":
        raw = _bytes_tensor(row.answer.label if row.answer else "" for row in rows)
    else:
        raw = _bytes_tensor(row.prediction_id for row in rows)
    return Output(name, datatype, (len(rows), width), raw)


def _bytes_tensor(texts: Iterable[str]) -> bytes:
    cells = [text.encode() for text in texts]
    return b"".join(len(cell).to_bytes(4, "little") + cell for cell in cells)
