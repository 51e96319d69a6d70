"""Structs of contracts in the OpenAPI document, and in what REST reads and shows."""

from typing import Any

import msgspec
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.routing.policy import EndpointSettings
from contracts.policy import Ensemble, Policy
from contracts.routing import Limits


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


@extend_schema_field(schema_of(EndpointSettings))
class SettingsField(serializers.DictField):
    """`limits` and `policy`; read strictly by the service."""


@extend_schema_field(schema_of(Limits))
class LimitsField(serializers.DictField):
    """Limits with their defaults spelled out."""


@extend_schema_field(schema_of(Policy))
class PolicyField(serializers.DictField):
    """A policy with its defaults spelled out."""


@extend_schema_field(schema_of(Ensemble))
class EnsembleField(serializers.DictField):
    """How a variant's answer is combined of several."""
