"""Shapes of the registry's REST resources."""

from typing import Any

from rest_framework import serializers

from apps.accounts.api.base import ReasonInput, StrictSerializer
from apps.events.columns import choices
from apps.registry.models import (
    NAME_LENGTH,
    Approval,
    ModelAlias,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
    Takeover,
    Tier,
    Validation,
)
from apps.registry.promotion import Allowance
from apps.registry.selectors import traffic_allowance


class ModelSerializer(serializers.ModelSerializer[RegisteredModel]):
    """A registered model."""

    team = serializers.CharField(source="team.key", read_only=True)
    owner = serializers.CharField(source="owner.username", read_only=True)
    tags = serializers.DictField(child=serializers.CharField())

    class Meta:
        model = RegisteredModel
        fields = (
            "name",
            "team",
            "owner",
            "tier",
            "description",
            "tags",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class NewModelSerializer(StrictSerializer):
    """Registers a model. `owner` is a username, by default whoever asks."""

    name = serializers.CharField(max_length=NAME_LENGTH)
    team = serializers.CharField(max_length=60)
    tier = serializers.ChoiceField(choices=choices(Tier), default=Tier.STANDARD.value)
    description = serializers.CharField(default="", allow_blank=True, max_length=20_000)
    tags = serializers.DictField(child=serializers.CharField(allow_blank=True), default=dict)
    owner = serializers.CharField(default="", allow_blank=True, max_length=150)


class ModelChangeSerializer(StrictSerializer):
    """What is given is changed, the rest stays."""

    tier = serializers.ChoiceField(choices=choices(Tier), required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    tags = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)
    owner = serializers.CharField(required=False, max_length=150)


class VersionSummarySerializer(serializers.ModelSerializer[ModelVersion]):
    """A version in a list."""

    model = serializers.CharField(source="model.name", read_only=True)
    version = serializers.CharField(source="version_key", read_only=True)
    metrics = serializers.DictField(child=serializers.FloatField(allow_null=True))

    class Meta:
        model = ModelVersion
        fields: tuple[str, ...] = (
            "model",
            "version",
            "number",
            "semantic_version",
            "framework",
            "status",
            "stage",
            "allowance",
            "broke_glass_at",
            "metrics",
            "size_bytes",
            "artifact_digest",
            "source",
            "run_id",
            "trained_at",
            "approved_by",
            "approved_at",
            "created_by",
            "created_at",
        )
        read_only_fields = fields


class TakeoverSerializer(serializers.ModelSerializer[Takeover]):
    """How far the taking over of a version's artifact has come."""

    class Meta:
        model = Takeover
        fields = (
            "step",
            "done_bytes",
            "total_bytes",
            "attempts",
            "fault",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


class VersionSerializer(VersionSummarySerializer):
    """A version with everything that is known about it."""

    content_digest = serializers.CharField(read_only=True)
    takeover = TakeoverSerializer(read_only=True, allow_null=True, default=None)
    derived_from = serializers.CharField(
        source="derived_from.version_key", read_only=True, default=None
    )
    traffic = serializers.SerializerMethodField()
    aliases: "serializers.SlugRelatedField[ModelAlias]" = serializers.SlugRelatedField(
        slug_field="name", many=True, read_only=True
    )

    class Meta(VersionSummarySerializer.Meta):
        fields: tuple[str, ...] = (
            *VersionSummarySerializer.Meta.fields,
            "description",
            "aliases",
            "status_detail",
            "takeover",
            "derived_from",
            "artifact_uri",
            "files",
            "triton_backend",
            "conversion",
            "signature",
            "input_schema",
            "output_schema",
            "example",
            "declared",
            "background_digest",
            "background_rows",
            "label_map",
            "decision_threshold",
            "parameters",
            "tags",
            "data_lineage",
            "code_lineage",
            "content_digest",
            "approved_digest",
            "traffic",
        )
        read_only_fields = fields

    def get_traffic(self, version: ModelVersion) -> Allowance:
        """Which traffic it may get: none, shadow or all."""
        return traffic_allowance(version)


class VersionChangeSerializer(StrictSerializer):
    """What is given is changed, the rest stays."""

    description = serializers.CharField(required=False, allow_blank=True, max_length=20_000)
    tags = serializers.DictField(child=serializers.CharField(allow_blank=True), required=False)


class NewVersionSerializer(StrictSerializer):
    """Imports from MLflow: either `run_id`, or `mlflow_name` with `mlflow_version`.

    A label map or threshold that is left out is taken from the run's tags; steps, columns and
    golden rows from the model's metadata. The answer waits up to `wait_s` seconds for the artifact:
    201 when the version is ready, 202 while its artifact is still on the way.
    """

    run_id = serializers.CharField(required=False, max_length=64)
    artifact_path = serializers.CharField(default="model", max_length=200)
    mlflow_name = serializers.CharField(required=False, max_length=256)
    mlflow_version = serializers.CharField(required=False, max_length=20)
    semantic_version = serializers.CharField(default="", allow_blank=True, max_length=60)
    label_map = serializers.DictField(child=serializers.CharField(), required=False)
    decision_threshold = serializers.FloatField(required=False)
    preprocessing = serializers.ListField(
        child=serializers.DictField(), required=False, help_text="Steps, in order."
    )
    columns = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="What the model takes after them."
    )
    golden = serializers.DictField(
        required=False, help_text="Raw rows with what training made of them."
    )
    wait_s = serializers.FloatField(min_value=0, max_value=60, default=30)


class CheckSerializer(serializers.Serializer[Any]):
    """One finding of a validation."""

    name = serializers.CharField()
    verdict = serializers.ChoiceField(choices=["pass", "fail", "error"])
    detail = serializers.CharField()
    figures = serializers.DictField()


class ValidationSerializer(serializers.ModelSerializer[Validation]):
    """One examination of a version."""

    version = serializers.CharField(source="version.version_key", read_only=True)
    checks = CheckSerializer(many=True, read_only=True)

    class Meta:
        model = Validation
        fields = (
            "id",
            "version",
            "state",
            "digest",
            "checks",
            "requested_by",
            "attempts",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    """One signature, and what was signed."""

    class Meta:
        model = Approval
        fields = ("human", "digest", "groups", "reason", "created_at", "voided_at")
        read_only_fields = fields


class PromotionSerializer(serializers.ModelSerializer[PromotionRequest]):
    """A promotion request with its frozen evidence and the terms that it was asked under."""

    version = serializers.CharField(source="version.version_key", read_only=True)
    signed_digest = serializers.CharField(read_only=True)
    approvals = ApprovalSerializer(many=True, read_only=True)

    class Meta:
        model = PromotionRequest
        fields = (
            "id",
            "version",
            "target_stage",
            "state",
            "digest",
            "evidence",
            "evidence_digest",
            "terms",
            "terms_digest",
            "signed_digest",
            "frozen_at",
            "approvals",
            "reason",
            "requested_by_key",
            "requester",
            "created_at",
            "expires_at",
            "glass_broken_by",
            "glass_reason",
            "glass_broken_at",
            "decided_by_key",
            "decision_reason",
            "decided_at",
        )
        read_only_fields = fields


class NewPromotionSerializer(ReasonInput):
    """Asks for the next stage."""

    stage = serializers.CharField(max_length=20, help_text="The next stage of the ladder.")


class AtSerializer(StrictSerializer):
    """A moment, by default now."""

    at = serializers.DateTimeField(required=False)


class TransitionSerializer(serializers.ModelSerializer[StageTransition]):
    """One change of stage."""

    version = serializers.CharField(source="version.version_key", read_only=True)
    promotion_request = serializers.UUIDField(source="request_id", read_only=True)

    class Meta:
        model = StageTransition
        fields = (
            "version",
            "from_stage",
            "to_stage",
            "digest",
            "promotion_request",
            "actor_key",
            "responsible_key",
            "reason",
            "occurred_at",
        )
        read_only_fields = fields
