"""What this app refuses."""

from apps.events.errors import Conflict, NotFound
from apps.notices.outbound import Refused, Unreachable

__all__ = ["NoDelivery", "NoWebhook", "Refused", "Unreachable", "WebhookDisabled"]


class NoWebhook(NotFound):
    """There is no such webhook, or it is another team's."""

    code = "no-webhook"


class NoDelivery(NotFound):
    """There is no such message, or it is another team's."""

    code = "no-delivery"


class WebhookDisabled(Conflict):
    """Nothing is sent to a disabled address: enable it first."""

    code = "webhook-disabled"
