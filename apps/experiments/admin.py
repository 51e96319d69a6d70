"""Raw tables for staff."""

from django.contrib import admin

from apps.events.administration import ReadOnlyAdmin
from apps.experiments.models import Arm, Experiment


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    """Plans and where they stand."""

    list_display = ("name", "endpoint", "state", "created_by", "started_at", "decision")
    list_filter = ("state", "decision")
    search_fields = ("name", "endpoint__name")


@admin.register(Arm)
class ArmAdmin(ReadOnlyAdmin):
    """Who is compared with whom."""

    list_display = ("experiment", "key", "version", "weight", "is_control")
