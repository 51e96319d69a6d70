"""Shapes of the REST resources of deployments and rollouts."""

from typing import Any

from rest_framework import serializers

from apps.accounts.api.base import REASON_LENGTH, ReasonInput, StrictSerializer
from apps.deployments.models import Deployment, Rollout, Target, Verdict
from contracts.routing import BUCKETS

MAX_WAIT_S = 60.0
YEAR_S = 366 * 86_400.0


class DeployRequestSerializer(StrictSerializer):
    """A version to deploy, by number or semantic version.

    `traffic_percentage` of the endpoint named like the model goes to it once it is healthy.
    With `wait_s` the answer waits that long for the end.
    """

    version = serializers.CharField(max_length=60)
    replicas = serializers.IntegerField(min_value=1, max_value=64, default=1)
    instance_type = serializers.CharField(max_length=60, default="cpu")
    traffic_percentage = serializers.IntegerField(min_value=0, max_value=100, default=0)
    wait_s = serializers.FloatField(min_value=0, max_value=MAX_WAIT_S, default=0)
    reason = serializers.CharField(max_length=REASON_LENGTH, default="", allow_blank=True)


class DeployAnswerSerializer(serializers.Serializer[Any]):
    """The deployment that was started; `endpoint` is the name that clients ask for."""

    deployment_id = serializers.UUIDField()
    status = serializers.CharField()
    endpoint = serializers.CharField()


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    """A version on its way onto a target, or there."""

    model = serializers.CharField(source="version.model.name", read_only=True)
    version = serializers.IntegerField(source="version.number", read_only=True)
    target = serializers.CharField(source="target.name", read_only=True)
    endpoint = serializers.CharField(source="endpoint_name", read_only=True)

    class Meta:
        model = Deployment
        fields = (
            "id",
            "model",
            "version",
            "target",
            "entry",
            "state",
            "progress",
            "error",
            "replicas",
            "instance_type",
            "traffic_percentage",
            "endpoint",
            "reason",
            "created_by",
            "created_at",
            "state_entered_at",
            "healthy_at",
            "explainer_state",
            "explainer_error",
        )
        read_only_fields = fields


class TargetSerializer(serializers.ModelSerializer[Target]):
    """A place that versions are deployed to."""

    class Meta:
        model = Target
        fields = ("name", "kind", "settings", "created_at")
        read_only_fields = fields


class StepSerializer(StrictSerializer):
    """A step of a ramp: `weight` in basis points (500 = 5 %), held for `hold_s` at least."""

    weight = serializers.IntegerField(min_value=1, max_value=BUCKETS)
    hold_s = serializers.FloatField(min_value=0, max_value=YEAR_S)
    minimum_requests = serializers.IntegerField(min_value=0, max_value=10**9, default=100)
    minimum_labels = serializers.IntegerField(min_value=0, max_value=10**9, default=0)


class ConditionsSerializer(StrictSerializer):
    """Limits that differ from those of the model's tier. Rates are shares (0.01 = 1 %)."""

    error_rate_pass = serializers.FloatField(required=False)
    error_rate_fail = serializers.FloatField(required=False)
    error_ratio_fail = serializers.FloatField(required=False)
    p99_pass_ms = serializers.FloatField(required=False)
    p99_fail_ms = serializers.FloatField(required=False)
    accuracy_drop_fail = serializers.FloatField(required=False)
    alpha = serializers.FloatField(required=False)
    harm_ratio = serializers.FloatField(required=False)
    start_deadline_s = serializers.FloatField(required=False, max_value=YEAR_S)
    step_deadline_s = serializers.FloatField(required=False, max_value=YEAR_S)
    pause_deadline_s = serializers.FloatField(required=False, max_value=YEAR_S)
    answer_deadline_s = serializers.FloatField(required=False, max_value=YEAR_S)


class NewRolloutSerializer(StrictSerializer):
    """A ramp of `candidate` (number or semantic version); steps default to the tier's."""

    candidate = serializers.CharField(max_length=60)
    steps = StepSerializer(many=True, required=False, allow_empty=False)
    conditions = ConditionsSerializer(default=dict)
    reason = serializers.CharField(max_length=REASON_LENGTH)


class PromoteSerializer(ReasonInput):
    """`to_end`: everybody on the candidate now; else the next step."""

    to_end = serializers.BooleanField(default=False)


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    """The ramp of a candidate on an endpoint.

    `step_index` is -1 before the first step; `verdicts` are those of the last look;
    `state_reason` is why it came into its state.
    """

    endpoint = serializers.CharField(source="endpoint.name", read_only=True)
    candidate = serializers.CharField(source="candidate.version_key", read_only=True)
    baseline = serializers.CharField(source="baseline.version_key", read_only=True)
    steps = StepSerializer(many=True, read_only=True)
    conditions = serializers.DictField(child=serializers.FloatField(), read_only=True)
    verdicts = serializers.ListField(source="latest", read_only=True)

    class Meta:
        model = Rollout
        fields = (
            "id",
            "endpoint",
            "candidate",
            "baseline",
            "baseline_phase",
            "state",
            "state_reason",
            "revision",
            "step_index",
            "steps",
            "conditions",
            "verdicts",
            "generation",
            "reason",
            "created_by",
            "created_at",
            "started_at",
            "step_started_at",
            "state_entered_at",
            "judged_at",
            "ended_at",
        )
        read_only_fields = fields


class VerdictSerializer(serializers.ModelSerializer[Verdict]):
    """What was known of a metric at a moment."""

    figures = serializers.DictField(child=serializers.FloatField(allow_null=True), read_only=True)

    class Meta:
        model = Verdict
        fields = ("id", "step_index", "metric", "verdict", "sentence", "figures", "at")
        read_only_fields = fields
