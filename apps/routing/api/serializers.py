"""Shapes of the REST resources of routing."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.api.base import REASON_LENGTH, StrictSerializer
from apps.routing.api.structs import EnsembleField, LimitsField, PolicyField, SettingsField
from apps.routing.compiler import ROLES
from apps.routing.facts import stored_settings
from apps.routing.models import Endpoint, Generation, Override, Phase, UnitKind
from apps.routing.policy import complete
from contracts.routing import BUCKETS


class NewEndpointSerializer(StrictSerializer):
    """Adds an endpoint that serves nothing yet."""

    name = serializers.CharField(max_length=80)
    model = serializers.CharField(max_length=100)
    unit_kind = serializers.ChoiceField(choices=UnitKind.choices, default=UnitKind.USER.value)
    sample_rate = serializers.FloatField(min_value=0, max_value=1, default=0.01)
    settings = SettingsField(default=dict)


class EndpointChangeSerializer(StrictSerializer):
    """What is given is changed, the rest stays; `limits` and `policy` are each given whole."""

    sample_rate = serializers.FloatField(min_value=0, max_value=1, required=False)
    settings = SettingsField(required=False)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class WeightSerializer(StrictSerializer):
    """A version in a role: `version` by number or semantic version, `weight` in 1/100 percent."""

    variant = serializers.CharField(max_length=80)
    role = serializers.ChoiceField(choices=sorted(ROLES))
    version = serializers.CharField(max_length=60)
    weight = serializers.IntegerField(min_value=0, max_value=BUCKETS)
    ensemble = EnsembleField(
        required=False, help_text="its answer is combined of these variants', its own among them"
    )


class PreviewRequestSerializer(StrictSerializer):
    """Weights to try out."""

    weights = WeightSerializer(many=True, allow_empty=False)
    new_candidate = serializers.BooleanField(default=False)


class WeightsRequestSerializer(PreviewRequestSerializer):
    """Who gets what from now on; decided on revision `expected_revision`."""

    expected_revision = serializers.IntegerField(min_value=0)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class RestoreRequestSerializer(StrictSerializer):
    """An earlier phase to bring back."""

    phase = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    expected_revision = serializers.IntegerField(min_value=0)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class AcknowledgeRequestSerializer(StrictSerializer):
    """An override that gateways may forget."""

    rollout = serializers.CharField(max_length=200)
    variant = serializers.CharField(max_length=80)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class VariantSerializer(serializers.Serializer[Any]):
    """A version in a role, and its share in buckets of 10,000."""

    variant = serializers.CharField(source="key")
    role = serializers.CharField()
    version = serializers.CharField()
    weight = serializers.IntegerField()
    ensemble = EnsembleField(required=False, help_text="of variants that combine others")


class PhaseSerializer(serializers.ModelSerializer[Phase]):
    """A stretch of time with a fixed allocation."""

    variants = VariantSerializer(many=True)
    ranges = serializers.ListField(child=serializers.ListField())

    class Meta:
        model = Phase
        fields: tuple[str, ...] = (
            "number",
            "variants",
            "ranges",
            "salt",
            "rollout_key",
            "experiment_key",
            "restored_from",
            "actor_key",
            "reason",
            "started_at",
            "ended_at",
        )
        read_only_fields = fields


class RunningPhaseSerializer(PhaseSerializer):
    """The phase that runs, without its buckets."""

    class Meta(PhaseSerializer.Meta):
        fields: tuple[str, ...] = tuple(
            name for name in PhaseSerializer.Meta.fields if name != "ranges"
        )
        read_only_fields = fields


class LeftOutSerializer(serializers.Serializer[Any]):
    """A part of the policy that the running allocation has no place for."""

    path = serializers.CharField()
    detail = serializers.CharField()


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """An endpoint and who gets what of it now."""

    team = serializers.CharField(source="team.key", read_only=True)
    model = serializers.CharField(source="model.name", read_only=True)
    generation = serializers.IntegerField(read_only=True, allow_null=True)
    settings = SettingsField()
    limits = serializers.SerializerMethodField()
    policy = serializers.SerializerMethodField()
    left_out = serializers.SerializerMethodField()
    phase = serializers.SerializerMethodField()

    class Meta:
        model = Endpoint
        fields = (
            "name",
            "team",
            "model",
            "unit_kind",
            "sample_rate",
            "settings",
            "limits",
            "policy",
            "left_out",
            "revision",
            "lease_holder",
            "leased_at",
            "generation",
            "phase",
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(LimitsField())
    def get_limits(self, endpoint: Endpoint) -> object:
        """Limits, defaults spelled out."""
        return complete(stored_settings(endpoint).limits)

    @extend_schema_field(PolicyField())
    def get_policy(self, endpoint: Endpoint) -> object:
        """The policy, defaults spelled out."""
        return complete(stored_settings(endpoint).policy)

    @extend_schema_field(LeftOutSerializer(many=True))
    def get_left_out(self, endpoint: Endpoint) -> object:
        """What of the policy is not in force now, and why."""
        return getattr(endpoint, "left_out", None) or []

    @extend_schema_field(RunningPhaseSerializer(allow_null=True))
    def get_phase(self, endpoint: Endpoint) -> dict[str, object] | None:
        """The phase that runs; None before the first allocation."""
        running = list(endpoint.phases.all())
        return RunningPhaseSerializer(running[0]).data if running else None


class GenerationSerializer(serializers.ModelSerializer[Generation]):
    """One change of the routing table."""

    endpoint = serializers.CharField(source="endpoint.name", read_only=True)
    phase = serializers.IntegerField(source="phase.number", read_only=True)
    digest = serializers.CharField(read_only=True)
    left_out = LeftOutSerializer(many=True, read_only=True)

    class Meta:
        model = Generation
        fields = (
            "epoch",
            "number",
            "endpoint",
            "phase",
            "digest",
            "issued_at",
            "actor_key",
            "reason",
            "left_out",
        )
        read_only_fields = fields


class MoveSerializer(serializers.Serializer[Any]):
    """How many of 10,000 buckets go from one version to another."""

    before = serializers.CharField()
    after = serializers.CharField()
    buckets = serializers.IntegerField()


class PreviewSerializer(serializers.Serializer[Any]):
    """What a change would do: who moves, in buckets of 10,000."""

    revision = serializers.IntegerField()
    weights = serializers.DictField(child=serializers.IntegerField())
    moved = serializers.IntegerField()
    moves = MoveSerializer(many=True)
    renews_salt = serializers.BooleanField()


class AssignmentSerializer(serializers.Serializer[Any]):
    """Which version a unit was given, by design, and why."""

    endpoint = serializers.CharField()
    unit = serializers.CharField()
    at = serializers.DateTimeField()
    variant = serializers.CharField()
    role = serializers.CharField()
    version = serializers.CharField()
    bucket = serializers.IntegerField()
    share = serializers.IntegerField()
    phase = serializers.IntegerField()
    epoch = serializers.IntegerField()
    generation = serializers.IntegerField()
    actor_key = serializers.CharField()
    reason = serializers.CharField()
    overrides = serializers.ListField(
        child=serializers.CharField(), help_text="gateways that had withdrawn this variant then"
    )


class GatewaySerializer(serializers.Serializer[Any]):
    """A gateway, and how far it is behind."""

    name = serializers.CharField()
    url = serializers.CharField()
    state = serializers.ChoiceField(choices=["live", "lagging", "gone"])
    epoch = serializers.IntegerField()
    generation = serializers.IntegerField()
    behind = serializers.IntegerField()
    source = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes it away
    refused = serializers.CharField()
    overrides = serializers.ListField(child=serializers.CharField())
    breakers = serializers.DictField(
        child=serializers.ChoiceField(choices=["open", "half_open"]),
        help_text='breakers that are not closed, by "endpoint/variant"',
    )
    replicas_out = serializers.ListField(
        child=serializers.CharField(), help_text="model servers that failed their probes"
    )
    caches_off = serializers.DictField(
        child=serializers.FloatField(),
        help_text="endpoints whose cache is switched off, with the share of rows that were hits",
    )
    spool_bytes = serializers.IntegerField()
    dropped = serializers.IntegerField()
    swapped_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()


class OverrideSerializer(serializers.ModelSerializer[Override]):
    """A gateway's own withdrawal of a candidate."""

    rollout = serializers.CharField(source="rollout_key", read_only=True)
    evidence = serializers.DictField()

    class Meta:
        model = Override
        fields = (
            "gateway",
            "rollout",
            "variant",
            "evidence",
            "withdrawn_at",
            "reported_at",
            "acknowledged_at",
            "acknowledged_by",
            "cleared_at",
        )
        read_only_fields = fields


class SideSerializer(serializers.Serializer[Any]):
    """An endpoint at one generation."""

    weights = serializers.DictField(child=serializers.IntegerField())
    versions = serializers.DictField(child=serializers.CharField())


class ChangeSerializer(serializers.Serializer[Any]):
    """What an endpoint was and became; `moved` is null when the salt changed."""

    endpoint = serializers.CharField()
    fields_changed = serializers.ListField(child=serializers.CharField())
    before = SideSerializer()
    after = SideSerializer()
    moved = serializers.IntegerField(allow_null=True)


class DifferenceSerializer(serializers.Serializer[Any]):
    """What differs between the tables at two generations."""

    before = serializers.IntegerField()
    after = serializers.IntegerField()
    endpoints = ChangeSerializer(many=True)
