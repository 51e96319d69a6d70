"""What this app does on events."""

from apps.events.models import Event
from apps.events.services import subscribe
from apps.notices import services


def register() -> None:
    """Called when the app is ready."""
    subscribe("notices.webhooks", ("*",), tell_webhooks)


def tell_webhooks(event: Event) -> None:
    """Every webhook that hears of this gets a message; the sender takes it from there."""
    services.publish(event=event)
