"""msgspec's Structs as OpenAPI 3.0 describes them."""

from typing import Any

import msgspec


def schema_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schema of a Struct with everything that it refers to written in place."""
    (top,), known = msgspec.json.schema_components([shape], ref_template="{name}")
    found: dict[str, Any] = _inlined(top, known)
    return found


def _inlined(node: Any, known: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, known) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(known[node["$ref"]], known)
    return _nullable({name: _inlined(item, known) for name, item in node.items() if item != []})


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0 knows no type "null"."""
    choices = node.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return node
    others = [choice for choice in choices if choice != {"type": "null"}]
    rest = {name: item for name, item in node.items() if name != "anyOf"}
    one = others[0] if len(others) == 1 else {"anyOf": others}
    return {**one, **rest, "nullable": True}
