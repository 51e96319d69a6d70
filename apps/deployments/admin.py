from django.contrib import admin

from apps.deployments.models import Deployment, Rollout, Target, Verdict
from apps.events.administration import ReadOnlyAdmin


@admin.register(Target)
class TargetAdmin(ReadOnlyAdmin):
    """Where versions go."""

    list_display = ("name", "kind", "created_at")


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    """Versions on targets."""

    list_display = ("entry", "target", "state", "replicas", "progress", "created_at")
    list_filter = ("state", "target")
    search_fields = ("entry",)


@admin.register(Rollout)
class RolloutAdmin(ReadOnlyAdmin):
    """Ramps."""

    list_display = ("endpoint", "candidate", "state", "step_index", "created_at")
    list_filter = ("state",)
    search_fields = ("endpoint__name",)


@admin.register(Verdict)
class VerdictAdmin(ReadOnlyAdmin):
    """The verdict log."""

    list_display = ("rollout", "step_index", "metric", "verdict", "sentence", "at")
    list_filter = ("metric", "verdict")
