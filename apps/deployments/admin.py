from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from apps.deployments.models import Deployment, Rollout, Target, Verdict


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Rows to look at: everything that changes them goes through services."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is added here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is changed here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted here."""
        return False


@admin.register(Target)
class TargetAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
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
