"""Structs of contracts in the OpenAPI document, and in what REST reads and shows."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api.structs import schema_of
from apps.routing.policy import EndpointSettings
from contracts.policy import Ensemble, Policy
from contracts.routing import Limits


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
