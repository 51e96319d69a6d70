"""Features that a store knows about a unit: which may be left out, and what stored texts mean."""

from collections.abc import Callable, Sequence

import msgspec

from contracts.policy import Lookup, LookupFeature
from contracts.schema import FeatureSpec, ModelSchema
from serving.packing import Row, SchemaError, Value
from serving.validation import CompiledSchema, compile_schema

_BOOLEANS = {b"1": True, b"true": True, b"0": False, b"false": False}


def relaxed(schema: ModelSchema, lookup: Lookup) -> ModelSchema:
    """The schema of a request whose looked-up features may be left out or null.

    Their defaults are the lookup's, else their own. Names that the version does not have are
    passed over: another version of the endpoint may. Raises SchemaError for a default that is no
    value of its feature.
    """
    wanted = {each.name: each for each in lookup.features}
    features = tuple(
        _relaxed(feature, wanted[feature.name]) if feature.name in wanted else feature
        for feature in schema.features
    )
    return msgspec.structs.replace(schema, features=features)


def _relaxed(feature: FeatureSpec, looked_up: LookupFeature) -> FeatureSpec:
    given = looked_up.default
    default = feature.default if given is None else given
    if given is not None and isinstance(given, str) != (feature.kind == "string"):
        raise SchemaError(f"the default {given!r} of lookup {feature.name!r} is no {feature.kind}")
    if not isinstance(default, str) and default is not None:
        default = float(default)
    return msgspec.structs.replace(feature, required=False, nullable=True, default=default)


class StoredFeatures:
    """The looked-up features of one version: `names` in the order in which the store is asked."""

    def __init__(self, schema: ModelSchema, lookup: Lookup) -> None:
        wanted = [each.name for each in lookup.features]
        compiled = compile_schema(relaxed(schema, lookup))
        _check_defaults(compiled, wanted)
        self.schema = compiled
        self.names = tuple(name for name in compiled.names if name in wanted)
        self._positions = tuple(compiled.names.index(name) for name in self.names)
        kinds = {feature.name: feature.kind for feature in schema.features}
        self._readers = tuple(_READERS[kinds[name]] for name in self.names)

    def lacks(self, row: Row) -> bool:
        """Whether the client left any of them out."""
        return any(row[at] is None for at in self._positions)

    def read(self, stored: Sequence[bytes | None]) -> tuple[Value, ...]:
        """Stored texts as values, in the order of `names`; None for what is not there or no fit."""
        return tuple(
            None if data is None else self._fitting(name, reader, data)
            for name, reader, data in zip(self.names, self._readers, stored, strict=True)
        )

    def merged(self, row: Row, found: Sequence[Value]) -> tuple[Row, bool]:
        """The row with what was found where the client sent nothing; whether that is all of it."""
        cells = list(row)
        complete = True
        for at, value in zip(self._positions, found, strict=True):
            if cells[at] is None:
                cells[at] = value
                complete = complete and value is not None
        return tuple(cells), complete

    def _fitting(self, name: str, reader: Callable[[bytes], Value], data: bytes) -> Value:
        try:
            value = reader(data)
        except (ValueError, KeyError):
            return None
        return value if self.schema.fits(name, value) else None


def _check_defaults(compiled: CompiledSchema, wanted: Sequence[str]) -> None:
    for feature in compiled.schema.features:
        default = feature.default
        if feature.name not in wanted or default is None:
            continue
        whole = feature.kind == "integer" and float(default).is_integer()
        value = int(default) if whole else default
        if feature.kind != "boolean" and not compiled.fits(feature.name, value):
            raise SchemaError(f"the default {default!r} of lookup {feature.name!r} does not fit it")


def _float(data: bytes) -> Value:
    return float(data)


def _integer(data: bytes) -> Value:
    return int(data)


def _boolean(data: bytes) -> Value:
    return _BOOLEANS[data.lower()]


def _text(data: bytes) -> Value:
    return data.decode()


_READERS: dict[str, Callable[[bytes], Value]] = {
    "float": _float,
    "integer": _integer,
    "boolean": _boolean,
    "string": _text,
}
