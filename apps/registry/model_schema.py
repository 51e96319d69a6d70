"""From a logged signature and an ONNX graph to the schema that every part serves by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from apps.registry.onnx_graph import Graph, Port
from contracts.declaration import Declaration
from contracts.preprocessing import Onehot, Ordinal, Step, outputs_of
from contracts.schema import (
    FeatureKind,
    FeatureSpec,
    ModelSchema,
    OutputKind,
    OutputSpec,
    TensorSpec,
)
from serving.validation import SchemaError, compile_schema

KINDS: Final[Mapping[str, FeatureKind]] = {
    "integer": "integer",
    "long": "integer",
    "float": "float",
    "double": "float",
    "boolean": "boolean",
    "string": "string",
}
TENSOR_KINDS: Final[Mapping[str, FeatureKind]] = {
    "float32": "float",
    "float64": "float",
    "int64": "integer",
    "int32": "integer",
    "bool": "boolean",
    "str": "string",
    "object": "string",
}
TENSOR_TYPES = frozenset({"FP32", "FP64", "INT64", "BOOL", "BYTES"})
OUTPUT_TYPES = frozenset({"FP32", "FP64"})
PREFERRED_OUTPUT = "probabilities"
MAX_FEATURES = 10_000


class Mismatch(ValueError):
    """Signature and graph do not fit together; the message names the column or tensor."""


@dataclass(frozen=True)
class Column:
    """One named input of the signature."""

    name: str
    kind: FeatureKind
    required: bool = True

    def spec(self) -> FeatureSpec:
        """The feature of the schema."""
        return FeatureSpec(
            name=self.name, kind=self.kind, required=self.required, nullable=not self.required
        )


NOTHING_DECLARED = Declaration()


def build_schema(
    signature: Mapping[str, Any],
    graph: Graph,
    *,
    labels: Mapping[str, str],
    declaration: Declaration = NOTHING_DECLARED,
) -> ModelSchema:
    """The schema of a version.

    `signature` holds MLflow's "inputs" and "outputs" as lists. An input of the graph takes the
    column of its name; one that is left takes all columns that are left, in the signature's
    order. With preprocessing these are the declared columns. Raises Mismatch.
    """
    steps = declaration.preprocessing
    columns = columns_of(signature.get("inputs") or [])
    taken: dict[str, Column | None] = {column.name: column for column in columns}
    if steps:
        taken = dict.fromkeys(declaration.columns or left_by(steps, list(taken)))
    schema = ModelSchema(
        features=tuple(_closed(column.spec(), steps) for column in columns),
        tensors=_tensors(taken, graph.inputs),
        output=_output(graph.outputs, signature.get("outputs") or [], labels),
        preprocessing=steps,
    )
    try:
        compile_schema(schema)
    except SchemaError as error:
        raise Mismatch(str(error)) from error
    return schema


def columns_of(inputs: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns of a signature's inputs; a tensor of k columns becomes k of them."""
    if not inputs:
        raise Mismatch("the model was logged without an input signature")
    columns = [column for entry in inputs for column in _columns(entry)]
    if len(columns) > MAX_FEATURES:
        raise Mismatch(f"the signature has more than {MAX_FEATURES} columns")
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Mismatch(f"column {twice!r} appears twice in the signature")
    return columns


def _columns(entry: Mapping[str, Any]) -> list[Column]:
    name = str(entry.get("name") or "")
    if entry.get("type") == "tensor":
        return _tensor_columns(name, entry.get("tensor-spec") or entry)
    kind = KINDS.get(str(entry.get("type")))
    if not name or kind is None:
        raise Mismatch(f"column {name!r} has type {entry.get('type')!r}, which cannot be served")
    return [Column(name, kind, bool(entry.get("required", True)))]


def _tensor_columns(name: str, spec: Mapping[str, Any]) -> list[Column]:
    shape, dtype = list(spec.get("shape") or []), str(spec.get("dtype"))
    kind = TENSOR_KINDS.get(dtype)
    if kind is None or len(shape) != 2 or int(shape[1]) < 1 or int(shape[1]) > MAX_FEATURES:
        raise Mismatch(f"tensor {name!r} of {dtype} {shape} is not [rows, columns] of a known type")
    if shape[1] == 1 and name:
        return [Column(name, kind)]
    return [Column(f"{name or 'feature'}_{number}", kind) for number in range(shape[1])]


def left_by(steps: Sequence[Step], names: list[str]) -> list[str]:
    """The columns that are there after the steps, each output in the place of its inputs."""
    for step in steps:
        outputs = outputs_of(step)
        at = min((names.index(name) for name in step.inputs if name in names), default=len(names))
        before = [name for name in names[:at] if name not in outputs]
        after = [name for name in names[at:] if name not in (*step.inputs, *outputs)]
        names = [*before, *outputs, *after]
    return names


def _closed(feature: FeatureSpec, steps: Sequence[Step]) -> FeatureSpec:
    """The feature with the categories of a step that refuses all others."""
    for step in steps:
        refuses = isinstance(step, Ordinal) and step.refuse
        refuses = refuses or (isinstance(step, Onehot) and step.unknown == "refuse")
        if refuses and feature.kind == "string" and feature.name in step.inputs:
            listed = step.categories[step.inputs.index(feature.name)]  # type: ignore[union-attr]  # both kinds have them
            texts = tuple(each for each in listed if isinstance(each, str))
            return msgspec.structs.replace(feature, categories=texts)
    return feature


def _tensors(columns: Mapping[str, Column | None], ports: Sequence[Port]) -> tuple[TensorSpec, ...]:
    """Columns by name; None for one that preprocessing makes, which is checked with its steps."""
    named = {port.name: [port.name] for port in ports if port.name in columns}
    rest = [name for name in columns if name not in named]
    open_ports = [port for port in ports if port.name not in named]
    _require_place(rest, open_ports, named)
    taken = {**named, **{port.name: rest for port in open_ports}}
    for port in ports:
        for column in filter(None, (columns[name] for name in taken[port.name])):
            _require_fit(column, port)
    return tuple(_tensor(port, tuple(taken[port.name])) for port in ports)


def _require_place(rest: list[str], ports: list[Port], named: Mapping[str, Any]) -> None:
    if rest and not ports:
        raise Mismatch(f"column {rest[0]!r} of the signature is no input of the model")
    if len(ports) > 1:
        raise Mismatch(
            f"inputs {', '.join(repr(port.name) for port in ports)} of the model are no columns "
            "of the signature; at most one input may take the remaining columns"
        )
    if ports and not rest:
        raise Mismatch(f"input {ports[0].name!r} of the model is no column of the signature")


def _tensor(port: Port, names: tuple[str, ...]) -> TensorSpec:
    if port.datatype not in TENSOR_TYPES:
        raise Mismatch(f"input {port.name!r} has type {port.datatype}, which cannot be served")
    if len(port.shape) != 2:
        raise Mismatch(f"input {port.name!r} is not [rows, columns] but has rank {len(port.shape)}")
    if port.width is not None and port.width != len(names):
        raise Mismatch(
            f"input {port.name!r} has {port.width} columns, the signature leaves "
            f"{len(names)} for it: {', '.join(names[:20])}"
        )
    return TensorSpec(name=port.name, datatype=cast(Any, port.datatype), features=names)


def _require_fit(column: Column, port: Port) -> None:
    text = port.datatype == "BYTES"
    if (column.kind == "string") != text:
        raise Mismatch(
            f"column {column.name!r} is {column.kind}, input {port.name!r} is {port.datatype}"
        )


def _output(
    ports: Sequence[Port], logged: Sequence[Mapping[str, Any]], labels: Mapping[str, str]
) -> OutputSpec:
    port = _answer(ports)
    width = port.width or _logged_width(port.name, logged)
    if len(port.shape) not in (0, 2) or not width:
        raise Mismatch(f"output {port.name!r} is not [rows, columns] with a known width")
    kind = _kind(port.name, width, labels)
    return OutputSpec(tensor=port.name, datatype=cast(Any, port.datatype), kind=kind, width=width)


def _answer(ports: Sequence[Port]) -> Port:
    """The output called `probabilities`, else the only one of floats."""
    floats = [port for port in ports if port.datatype in OUTPUT_TYPES]
    preferred = [port for port in floats if port.name == PREFERRED_OUTPUT]
    if preferred:
        return preferred[0]
    if len(floats) != 1:
        names = ", ".join(repr(port.name) for port in ports)
        raise Mismatch(f"no output is called {PREFERRED_OUTPUT!r} and several could be: {names}")
    return floats[0]


def _logged_width(name: str, logged: Sequence[Mapping[str, Any]]) -> int:
    for entry in logged:
        shape = (entry.get("tensor-spec") or entry).get("shape")
        if entry.get("name") in (name, None) and shape and len(shape) == 2:
            return max(int(shape[1]), 0)
    return 0


def _kind(name: str, width: int, labels: Mapping[str, str]) -> OutputKind:
    if width == 1:
        return "binary" if labels else "regression"
    if width == 2:
        return "binary"
    if not labels and name != PREFERRED_OUTPUT:
        raise Mismatch(f"output {name!r} has {width} columns: give a label map if it has classes")
    return "multiclass"


def label_fault(labels: Mapping[str, str], output: OutputSpec) -> str | None:
    """What is wrong with a label map for this output, or None. An empty map is always right."""
    if not labels:
        return None
    if output.kind == "regression":
        return "a regression has no labels"
    classes = [str(index) for index in range(max(output.width, 2))]
    if sorted(labels) != sorted(classes):
        return f"must have exactly the classes {', '.join(classes)}, not {', '.join(labels)}"
    if len(set(labels.values())) != len(labels) or not all(labels.values()):
        return "every class needs a label of its own"
    return None
