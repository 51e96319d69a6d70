"""JSON that people wrote, read into a Struct: every fault is named by its path.

msgspec stops at the first misfit, and lets unknown fields pass in Structs that gateways read.
"""

from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from apps.routing.errors import Fault, InvalidSettings

T = TypeVar("T", bound=msgspec.Struct)


def read(value: object, shape: type[T], *, path: str) -> T:
    """`value` as `shape`. Raises InvalidSettings with every fault, by path from `path` on."""
    found = tuple(_of_struct(value, shape, path))
    if found:
        raise InvalidSettings(found)
    return msgspec.convert(value, shape)


def _faults(value: object, hint: Any, path: str) -> Iterator[Fault]:
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in choices:
        return
    shape = next((choice for choice in choices if _is_struct(choice)), None)
    if shape is not None:
        yield from _of_struct(value, shape, path)
    elif get_origin(hint) is tuple and _is_struct(get_args(hint)[0]):
        yield from _of_list(value, get_args(hint)[0], path)
    else:
        yield from _of_leaf(value, hint, path)


def _of_struct(value: object, shape: type[msgspec.Struct], path: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield Fault(path, f"an object is expected, not {_kind(value)}")
        return
    hints = _hints(shape)
    required = {field.name for field in msgspec.structs.fields(shape) if field.required}
    for name in (*value, *sorted(required - set(value))):
        inner = f"{path}.{name}"
        if name not in hints:
            yield Fault(inner, f"unknown field; there are {', '.join(hints)}")
        elif name not in value:
            yield Fault(inner, "is missing")
        else:
            yield from _faults(value[name], hints[name], inner)


def _of_list(value: object, shape: type[msgspec.Struct], path: str) -> Iterator[Fault]:
    if not isinstance(value, list | tuple):
        yield Fault(path, f"a list is expected, not {_kind(value)}")
        return
    for number, item in enumerate(value):
        yield from _of_struct(item, shape, f"{path}[{number}]")


def _of_leaf(value: object, hint: Any, path: str) -> Iterator[Fault]:
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        yield Fault(path + where.rstrip("`"), text.replace("`", ""))


def _kind(value: object) -> str:
    names = {list: "a list", tuple: "a list", dict: "an object", str: "a text", type(None): "null"}
    return names.get(type(value), "a number")


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


@cache
def _hints(shape: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(shape)
