"""What of this floor keeps a model from being renamed or deleted."""

from apps.registry import holds
from apps.registry.models import ModelVersion, RegisteredModel
from apps.routing.models import Endpoint


def register() -> None:
    """Called once, when the app is ready."""
    holds.register("endpoints", endpoints)


def endpoints(model: RegisteredModel, version: ModelVersion | None) -> str:
    """An endpoint names the model that it serves; of its versions only approved ones are asked."""
    named = Endpoint.objects.filter(model=model).order_by("name").first() if not version else None
    return f"endpoint {named.name} serves it" if named else ""
