"""Admin pages of notices: to read. Secrets are nobody's business."""

from django.contrib import admin

from apps.events.administration import ReadOnlyAdmin
from apps.notices.models import Attempt, Delivery, Mail, NoticePreference, Webhook


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Addresses that hear of events."""

    list_display = ("url", "team", "failures", "resumes_at", "disabled_at", "created_by_key")
    list_filter = ("team",)
    list_select_related = ("team",)
    search_fields = ("url",)
    exclude = ("secret", "older_secret")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """What was sent."""

    list_display = ("id", "webhook", "verb", "object_key", "state", "tries", "due_at")
    list_filter = ("state",)
    list_select_related = ("webhook",)
    search_fields = ("=id", "object_key")


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """Every try."""

    list_display = ("delivery", "at", "status", "latency_s", "error")
    list_select_related = ("delivery",)


@admin.register(NoticePreference)
class NoticePreferenceAdmin(ReadOnlyAdmin):
    """When people want to be told."""

    list_display = ("user", "kind", "mode")
    list_filter = ("kind", "mode")
    list_select_related = ("user",)


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """Mail to people."""

    list_display = ("subject", "user", "kind", "state", "tries", "due_at", "sent_at")
    list_filter = ("state", "kind")
    list_select_related = ("user",)
