"""What this app does on events."""

from apps.events.models import Event
from apps.events.services import subscribe
from apps.notices import services
from apps.notices.occasions import TELLING


def register() -> None:
    """Called when the app is ready."""
    subscribe("notices.webhooks", ("*",), tell_webhooks)
    subscribe("notices.mail", tuple(TELLING), tell_people)


def tell_webhooks(event: Event) -> None:
    """Every webhook that hears of this gets a message; the sender takes it from there."""
    services.publish(event=event)


def tell_people(event: Event) -> None:
    """Everybody concerned gets a mail, when they want it."""
    services.notify(event=event)
