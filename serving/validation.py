"""One row of features: typed decoding, every fault by name, packing into a model's tensors.

Compiled once per schema; the same answer online, in batch and at validation. The fast path is a
msgspec decoder made from the schema; only a row that it refuses is examined again, in Python, to
tell every fault with its JSON path.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from types import GenericAlias
from typing import Annotated, Any, Literal

import msgspec

from contracts.schema import Datatype, FeatureKind, FeatureSpec, ModelSchema, TensorSpec
from serving.packing import Pack, pack_as_is
from serving.packing import Row as Row
from serving.packing import SchemaError as SchemaError
from serving.packing import Value as Value
from serving.preprocessing import compile_steps

FaultKind = Literal["missing", "unknown", "type", "null", "not_finite", "range", "category"]

MAX_TEXT = 4_096
MAX_FAULTS = 100
INT64 = (-(2**63), 2**63 - 1)
FP32_MAX = 3.4028234663852886e38
_PYTHON_TYPES: Mapping[str, type] = {
    "float": float,
    "integer": int,
    "boolean": bool,
    "string": str,
}
_RAW_TYPES: Mapping[FeatureKind, Datatype] = {
    "float": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "string": "BYTES",
}
_NAMES = {
    "float": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "string": "text",
}


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one feature; `path` is its JSON path in the request."""

    path: str
    detail: str
    feature: str
    kind: FaultKind


class InvalidFeatures(ValueError):
    """The row does not fit the schema; `faults` lists everything that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.detail}" for fault in faults))
        self.faults = tuple(faults)


class MalformedJson(ValueError):
    """The bytes are not JSON."""


@lru_cache(maxsize=4_096)
def compile_schema(schema: ModelSchema) -> "CompiledSchema":
    """The compiled form of `schema`, made once. Raises SchemaError."""
    return CompiledSchema(schema)


class CompiledSchema:
    """Decodes, checks and packs rows of one schema. Rows are tuples in the order of `names`.

    `pack(rows)` gives raw little-endian tensors `[rows, k]`, in the order of `schema.tensors`,
    after the version's preprocessing. `inputs` are the tensors that a client of the Open
    Inference Protocol sends: the model's own, or with preprocessing one per raw feature.
    """

    def __init__(self, schema: ModelSchema) -> None:
        self.schema = schema
        self.names = tuple(feature.name for feature in schema.features)
        self._features = {feature.name: feature for feature in schema.features}
        _require_unique(self.names)
        narrow = {n for t in schema.tensors if t.datatype == "FP32" for n in t.features}
        self._bounds = {f.name: _bounds(f, f.name in narrow) for f in schema.features}
        self._row = self._row_type()
        self._decode = msgspec.json.Decoder(self._row).decode
        self.pack: Pack = compile_steps(schema) if schema.preprocessing else pack_as_is(schema)
        self.inputs = _raw_inputs(schema) if schema.preprocessing else schema.tensors

    def decode(self, data: bytes | msgspec.Raw) -> Row:
        """Read a JSON object of features.

        Raises InvalidFeatures with every fault, or MalformedJson.
        """
        try:
            return msgspec.structs.astuple(self._decode(data))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            row = parse_json(bytes(data))
            faults = self.faults(row)
            if not faults:  # the two readings disagree: believe the stricter one
                raise MalformedJson(str(error)) from error
            raise InvalidFeatures(faults) from error

    def decode_rows(self, data: bytes | msgspec.Raw, path: str = "$.instances") -> list[Row]:
        """Read a JSON array of objects of features.

        Raises InvalidFeatures with every fault of every row, or MalformedJson.
        """
        try:
            return [msgspec.structs.astuple(row) for row in self._decode_all(data)]
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            rows = parse_json(bytes(data))
            faults = self.faults_of_all(rows, path)
            if not faults:
                raise MalformedJson(str(error)) from error
            raise InvalidFeatures(faults) from error

    def read_rows(self, rows: Sequence[Mapping[str, object]], path: str) -> list[Row]:
        """Check rows of Python values and put them in order.

        Raises InvalidFeatures with every fault of every row.
        """
        try:
            checked = msgspec.convert(rows, self._rows)
            return [msgspec.structs.astuple(row) for row in checked]
        except (msgspec.ValidationError, OverflowError):
            faults = self.faults_of_all(rows, path)
        if faults:
            raise InvalidFeatures(faults)
        return [self.read(row) for row in rows]

    def read(self, row: Mapping[str, object]) -> Row:
        """Check a row of Python values and put it in order. Raises InvalidFeatures."""
        faults = self.faults(row)
        if faults:
            raise InvalidFeatures(faults)
        return tuple(self._typed(name, row.get(name)) for name in self.names)

    def as_dict(self, row: Row) -> dict[str, Value]:
        """The row by feature name, as it came in (missing values are None)."""
        return dict(zip(self.names, row, strict=True))

    def faults(self, row: object, path: str = "$.features") -> list[Fault]:
        """Everything that is wrong with `row`, in the schema's order.

        Of the features that are none, at most MAX_FAULTS.
        """
        if not isinstance(row, Mapping):
            return [Fault(path, "must be an object of features", "", "type")]
        found = [
            fault
            for feature in self.schema.features
            if (fault := self._fault(feature, row, f"{path}.{feature.name}"))
        ]
        unknown = [str(name) for name in row if name not in self._features]
        found += [
            Fault(f"{path}.{name[:100]}", "is not a feature of this model", "", "unknown")
            for name in unknown[:MAX_FAULTS]
        ]
        return found

    def faults_of_all(self, rows: object, path: str) -> list[Fault]:
        """Everything that is wrong with each of `rows`; row 3's faults lie under `path`[3]."""
        if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
            return [Fault(path, "must be an array of objects of features", "", "type")]
        return [
            fault
            for number, row in enumerate(rows)
            for fault in self.faults(row, f"{path}[{number}]")
        ]

    @cached_property
    def _decode_all(self) -> Callable[[bytes | msgspec.Raw], list[msgspec.Struct]]:
        return msgspec.json.Decoder(self._rows).decode

    @cached_property
    def _rows(self) -> GenericAlias:
        return GenericAlias(list, (self._row,))

    def fits(self, name: str, value: Value) -> bool:
        """Whether `value` is one that the feature `name` may have."""
        return _problem(self._features[name], value, self._bounds[name]) is None

    def _fault(self, feature: FeatureSpec, row: Mapping[str, object], path: str) -> Fault | None:
        if feature.name not in row:
            missing = Fault(path, "is required", feature.name, "missing")
            return missing if feature.required else None
        problem = _problem(feature, row[feature.name], self._bounds[feature.name])
        return Fault(path, problem[1], feature.name, problem[0]) if problem else None

    def _typed(self, name: str, value: object) -> Value:
        if value is None or self._features[name].kind != "float":
            return value  # type: ignore[return-value]  # checked by `faults` before
        return float(value)  # type: ignore[arg-type]  # checked by `faults` before

    def _row_type(self) -> type[msgspec.Struct]:
        """A struct with neutral field names, renamed to the features': any name is allowed."""
        fields: list[Any] = []
        for number, feature in enumerate(self.schema.features):
            field_type = _field_type(feature, self._bounds[feature.name])
            field = (f"f{number}", field_type)
            fields.append(field if feature.required else (*field, None))
        return msgspec.defstruct(
            "Features",
            fields,
            rename={f"f{number}": name for number, name in enumerate(self.names)},
            kw_only=True,
            forbid_unknown_fields=True,
            gc=False,
        )


def parse_json(data: bytes) -> Any:
    """Python's reading of JSON, which tells NaN and Infinity apart from garbage.

    Raises MalformedJson, for half a surrogate pair too: no text that could be passed on has one.
    """
    try:
        value = json.loads(data)
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedJson(str(error)) from error
    return value


def _require_unique(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise SchemaError("feature names repeat")


def _bounds(feature: FeatureSpec, narrow: bool) -> tuple[float | None, float | None]:
    """Inclusive limits: the declared ones, else what the tensor can hold."""
    low, high = feature.minimum, feature.maximum
    if feature.kind == "integer":
        low = INT64[0] if low is None else math.ceil(low)
        high = INT64[1] if high is None else math.floor(high)
    elif feature.kind == "float" and narrow:
        low = -FP32_MAX if low is None else low
        high = FP32_MAX if high is None else high
    return low, high


def _field_type(feature: FeatureSpec, bounds: tuple[float | None, float | None]) -> Any:
    if feature.kind == "string" and feature.categories:
        base: Any = Literal[feature.categories]
    elif feature.kind == "string":
        base = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
    elif feature.kind == "boolean":
        base = bool
    else:
        meta = msgspec.Meta(ge=bounds[0], le=bounds[1])
        base = Annotated[_PYTHON_TYPES[feature.kind], meta]
    return base | None if feature.nullable else base


def _problem(
    feature: FeatureSpec, value: object, bounds: tuple[float | None, float | None]
) -> tuple[FaultKind, str] | None:
    if value is None:
        return None if feature.nullable else ("null", "must not be null")
    if not _has_type(feature, value):
        return "type", f"must be {_NAMES[feature.kind]}, not {_json_name(value)}"
    if isinstance(value, str):
        return _text_problem(feature, value)
    if isinstance(value, bool):
        return None
    return _number_problem(value, bounds)  # type: ignore[arg-type]  # _has_type leaves numbers


def _has_type(feature: FeatureSpec, value: object) -> bool:
    if feature.kind in ("boolean", "string"):
        return isinstance(value, _PYTHON_TYPES[feature.kind])
    if isinstance(value, bool):
        return False
    return isinstance(value, int if feature.kind == "integer" else int | float)


def _text_problem(feature: FeatureSpec, value: str) -> tuple[FaultKind, str] | None:
    if feature.categories is not None and value not in feature.categories:
        return "category", "is not one of the known categories"
    if len(value) > MAX_TEXT:
        return "range", f"must have at most {MAX_TEXT} characters"
    return None


def _number_problem(
    value: float, bounds: tuple[float | None, float | None]
) -> tuple[FaultKind, str] | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "not_finite", "must be a finite number"
    if bounds[0] is not None and value < bounds[0]:
        return "range", f"must be at least {bounds[0]:g}"
    if bounds[1] is not None and value > bounds[1]:
        return "range", f"must be at most {bounds[1]:g}"
    return None


def _json_name(value: object) -> str:
    names = {bool: "a boolean", str: "text", dict: "an object", list: "an array"}
    return names.get(type(value), "a number")


def _raw_inputs(schema: ModelSchema) -> tuple[TensorSpec, ...]:
    """One tensor `[rows, 1]` per feature, named like it and wide enough for any of its values."""
    return tuple(
        TensorSpec(name=each.name, datatype=_RAW_TYPES[each.kind], features=(each.name,))
        for each in schema.features
    )
