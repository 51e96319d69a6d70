"""Raw tables for staff: how the ingest stands. The facts themselves have pages."""

from django.contrib import admin

from apps.events.administration import ReadOnlyAdmin
from apps.monitoring.models import DeadBatch, GatewayBoot, IngestedBatch, Outcome, UnitFailure


@admin.register(IngestedBatch)
class IngestedBatchAdmin(ReadOnlyAdmin):
    """Batches that are counted."""

    list_display = ("gateway", "boot", "seq", "sealed_at", "ingested_at", "records", "dropped")
    search_fields = ("gateway", "boot")


@admin.register(GatewayBoot)
class GatewayBootAdmin(ReadOnlyAdmin):
    """How far each life of a gateway is ingested."""

    list_display = ("gateway", "boot", "contiguous_seq", "pruned_seq", "updated_at")


@admin.register(DeadBatch)
class DeadBatchAdmin(ReadOnlyAdmin):
    """Batches that could not be counted."""

    list_display = ("stream", "gateway", "boot", "seq", "failed_at", "replayed_at", "error")
    exclude = ("envelope",)


@admin.register(Outcome)
class OutcomeAdmin(ReadOnlyAdmin):
    """What applications observed."""

    list_display = ("outcome_id", "client", "metric", "value", "state", "occurred_at")
    list_filter = ("state", "metric")
    search_fields = ("outcome_id", "prediction_id")


@admin.register(UnitFailure)
class UnitFailureAdmin(ReadOnlyAdmin):
    """What guardrails bet on."""

    list_display = ("rollout_key", "variant", "kind", "share", "occurred_at")
    search_fields = ("rollout_key",)
