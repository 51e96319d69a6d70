"""Admin pages of routing: to read. Writes go through the services."""

from django.contrib import admin

from apps.events.administration import ReadOnlyAdmin
from apps.routing.models import Backend, Endpoint, GatewayReport, Generation, Override, Phase


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    """Endpoints."""

    list_display = ("name", "model", "team", "unit_kind", "revision", "lease_holder")
    list_filter = ("unit_kind", "team")
    list_select_related = ("model", "team")
    search_fields = ("name", "model__name")


@admin.register(Backend)
class BackendAdmin(ReadOnlyAdmin):
    """Where versions answer."""

    list_display = ("entry", "version", "state", "addresses", "changed_at")
    list_filter = ("state",)
    list_select_related = ("version__model",)
    search_fields = ("entry",)


@admin.register(Phase)
class PhaseAdmin(ReadOnlyAdmin):
    """Phases."""

    list_display = ("endpoint", "number", "rollout_key", "actor_key", "started_at", "ended_at")
    list_select_related = ("endpoint",)
    search_fields = ("endpoint__name", "rollout_key", "experiment_key")


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    """Every change of the table."""

    list_display = ("number", "epoch", "endpoint", "phase", "actor_key", "issued_at")
    list_select_related = ("endpoint", "phase__endpoint")
    search_fields = ("endpoint__name", "=number")


@admin.register(GatewayReport)
class GatewayReportAdmin(ReadOnlyAdmin):
    """The fleet."""

    list_display = ("gateway", "state", "epoch", "generation", "source", "seen_at")
    list_filter = ("state",)


@admin.register(Override)
class OverrideAdmin(ReadOnlyAdmin):
    """Withdrawals by gateways."""

    list_display = ("gateway", "endpoint", "variant", "withdrawn_at", "acknowledged_at")
    list_select_related = ("endpoint",)
