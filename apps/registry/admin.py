"""Admin pages of models, versions and promotions: to read. Writes go through the services."""

from django.contrib import admin

from apps.events.administration import ReadOnlyAdmin
from apps.registry.models import (
    CardEdition,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
    Validation,
    VersionMetric,
)


@admin.register(RegisteredModel)
class RegisteredModelAdmin(ReadOnlyAdmin):
    """Models."""

    list_display = ("name", "team", "owner", "tier", "last_number", "created_at")
    list_filter = ("tier", "team")
    list_select_related = ("team", "owner")
    search_fields = ("name",)


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    """Versions."""

    list_display = ("version_key", "semantic_version", "stage", "approved_by", "created_at")
    list_filter = ("stage", "framework")
    list_select_related = ("model",)
    search_fields = ("model__name", "semantic_version", "run_id", "artifact_digest")


@admin.register(Validation)
class ValidationAdmin(ReadOnlyAdmin):
    """Validations."""

    list_display = ("id", "version", "state", "attempts", "requested_by", "created_at")
    list_filter = ("state",)
    list_select_related = ("version__model",)


@admin.register(PromotionRequest)
class PromotionRequestAdmin(ReadOnlyAdmin):
    """Promotion requests."""

    list_display = (
        "id",
        "version",
        "target_stage",
        "state",
        "requested_by_key",
        "decided_by_key",
        "expires_at",
    )
    list_filter = ("state", "target_stage")
    list_select_related = ("version__model",)


@admin.register(StageTransition)
class StageTransitionAdmin(ReadOnlyAdmin):
    """The history of stages."""

    list_display = ("version", "from_stage", "to_stage", "actor_key", "occurred_at")
    list_filter = ("to_stage",)
    list_select_related = ("version__model",)


@admin.register(CardEdition)
class CardEditionAdmin(ReadOnlyAdmin):
    """What owners wrote on their models' cards."""

    list_display = ("model", "number", "written_by", "written_at")
    list_select_related = ("model",)


@admin.register(VersionMetric)
class VersionMetricAdmin(ReadOnlyAdmin):
    """Metrics as the lists search them."""

    list_display = ("version", "name", "value")
    list_select_related = ("version__model",)
