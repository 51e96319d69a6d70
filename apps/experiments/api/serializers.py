"""Shapes of the REST resources of experiments."""

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.accounts.api.base import ReasonInput, StrictSerializer
from apps.experiments.lifecycle import BUCKETS, Decision
from apps.experiments.models import Experiment
from apps.experiments.selectors import arm_counts


class MetricSerializer(StrictSerializer):
    """What is measured: `name` is the metric of outcomes."""

    name = serializers.CharField(max_length=100)
    role = serializers.ChoiceField(choices=["goal", "guardrail"], default="goal")
    kind = serializers.ChoiceField(choices=["proportion", "mean", "count", "ratio"])
    direction = serializers.ChoiceField(choices=["increase", "decrease"], default="increase")


class PlannedArmSerializer(StrictSerializer):
    """A version by number or semantic version; `weight` in 1/100 percent."""

    variant = serializers.CharField(max_length=80)
    version = serializers.CharField(max_length=60)
    weight = serializers.IntegerField(min_value=0, max_value=BUCKETS)
    control = serializers.BooleanField(default=False)


class NewExperimentSerializer(StrictSerializer):
    """A draft; nobody's traffic changes before it is started."""

    name = serializers.CharField(max_length=120)
    endpoint = serializers.CharField(max_length=80)
    hypothesis = serializers.CharField(max_length=5_000)
    arms = PlannedArmSerializer(many=True, allow_empty=False)
    metrics = MetricSerializer(many=True, default=list)
    planned_days = serializers.FloatField(min_value=0.01, max_value=365, default=7.0)
    alpha = serializers.FloatField(default=0.05, min_value=0.0001, max_value=0.5)
    power = serializers.FloatField(default=0.8, min_value=0.5, max_value=0.999)

    def validate_planned_days(self, value: float) -> timedelta:
        """Days as a duration."""
        return timedelta(days=value)


@extend_schema_serializer(component_name="ExperimentDecision")
class DecisionSerializer(ReasonInput):
    """What people concluded, and why."""

    decision = serializers.ChoiceField(choices=[decision.value for decision in Decision])

    def validate_decision(self, value: str) -> Decision:
        """The word as what it stands for."""
        return Decision(value)


class ArmCountsSerializer(serializers.Serializer[Any]):
    """An arm and who has seen it until now (distinct units)."""

    arm = serializers.CharField()
    version = serializers.CharField()
    weight = serializers.IntegerField()
    is_control = serializers.BooleanField()
    units = serializers.IntegerField()
    mixed = serializers.IntegerField()
    first_at = serializers.DateTimeField(allow_null=True)
    last_at = serializers.DateTimeField(allow_null=True)


class ExperimentSerializer(serializers.ModelSerializer[Experiment]):
    """An experiment as lists show it."""

    endpoint = serializers.CharField(source="endpoint.name", read_only=True)
    planned_end_at = serializers.DateTimeField(read_only=True, allow_null=True)
    metrics = MetricSerializer(many=True, read_only=True)

    class Meta:
        model = Experiment
        fields: tuple[str, ...] = (
            "id",
            "name",
            "endpoint",
            "state",
            "revision",
            "hypothesis",
            "metrics",
            "planned_duration",
            "planned_end_at",
            "alpha",
            "power",
            "baseline_phase",
            "decision",
            "decision_reason",
            "created_by",
            "created_at",
            "started_at",
            "stopped_at",
            "decided_at",
            "archived_at",
        )
        read_only_fields = fields


class ExperimentDetailSerializer(ExperimentSerializer):
    """An experiment with its arms and their live counts."""

    arms = serializers.SerializerMethodField()

    class Meta(ExperimentSerializer.Meta):
        fields: tuple[str, ...] = (*ExperimentSerializer.Meta.fields, "arms")
        read_only_fields = fields

    @extend_schema_field(ArmCountsSerializer(many=True))
    def get_arms(self, experiment: Experiment) -> Any:
        """Who has seen which arm."""
        return ArmCountsSerializer(arm_counts(experiment), many=True).data
