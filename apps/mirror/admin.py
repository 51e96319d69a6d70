"""Admin pages of mirrors: to read. Secrets are nobody's business."""

from django.contrib import admin

from apps.events.administration import ReadOnlyAdmin
from apps.mirror.models import Difference, Mirror, MirroredModel, MirroredVersion


@admin.register(Mirror)
class MirrorAdmin(ReadOnlyAdmin):
    """Links to registries of MLflow."""

    list_display = ("title", "team", "tracking_uri", "swept_at", "failures", "paused_at")
    list_filter = ("team",)
    list_select_related = ("team",)
    search_fields = ("title", "tracking_uri")
    exclude = ("credentials", "hint_secret")


@admin.register(MirroredModel)
class MirroredModelAdmin(ReadOnlyAdmin):
    """Models of MLflow's."""

    list_display = ("name", "mirror", "model", "problem", "unwritten_at", "gone_at")
    list_select_related = ("mirror", "model")
    search_fields = ("name",)


@admin.register(MirroredVersion)
class MirroredVersionAdmin(ReadOnlyAdmin):
    """Versions of MLflow's."""

    list_display = ("mirrored", "number", "version", "stage", "verified_at", "gone_at")
    list_select_related = ("mirrored", "version__model")


@admin.register(Difference)
class DifferenceAdmin(ReadOnlyAdmin):
    """What was changed behind our back."""

    list_display = ("kind", "subject", "mirrored", "state", "found_at", "ended_by_key")
    list_filter = ("kind", "state")
    list_select_related = ("mirrored",)
