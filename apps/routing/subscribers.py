"""What this app does on events."""

from apps.events.models import Event
from apps.events.services import subscribe
from apps.registry.errors import NotFound
from apps.registry.selectors import get_version
from apps.routing import services


def register() -> None:
    """Called when the app is ready."""
    subscribe("routing.clients", ("token.*", "service_account.*"), publish_clients)
    subscribe("routing.approvals", ("version.*", "promotion.*"), watch_approval)


def publish_clients(_event: Event) -> None:
    """A program or its tokens changed: gateways hear of it."""
    services.publish_clients()


def watch_approval(event: Event) -> None:
    """A version may have lost its approval while it has traffic."""
    key = _version_key(event)
    model, _, number = key.partition("/")
    if not number:
        return
    try:
        version = get_version(model, number)
    except NotFound:
        return
    services.report_unapproved_traffic(version=version)


def _version_key(event: Event) -> str:
    """ "flights/2", from the event's object or from what it tells of."""
    if event.object_key.startswith("version:"):
        return event.object_key.removeprefix("version:")
    told = event.after if isinstance(event.after, dict) else {}
    return str(told.get("version", "")).removeprefix("version:")
