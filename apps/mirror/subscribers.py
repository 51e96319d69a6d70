"""What this app does on events."""

from apps.events.models import Event
from apps.events.services import subscribe
from apps.mirror import services

VERBS = ("version.stage_changed", "model.alias_set", "model.alias_deleted")


def register() -> None:
    """Called when the app is ready."""
    subscribe("mirror.write_back", VERBS, owe)


def owe(event: Event) -> None:
    """MLflow is to hear of this, where the model is mirrored; the writer takes it from there.

    What MLflow does, or does not do, holds the writer of its mirror and nothing else.
    """
    services.owe(object_key=event.object_key, occurred_at=event.occurred_at)
