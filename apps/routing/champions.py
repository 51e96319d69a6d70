"""Who serves a model, for the floor beneath: its champion follows the traffic of endpoints."""

from apps.registry import traffic
from apps.registry.models import RegisteredModel
from apps.routing.models import Endpoint


def register() -> None:
    """Called once, when the app is ready."""
    traffic.register(steers)


def steers(model: RegisteredModel) -> str:
    """An endpoint of the model that has traffic to steer, by name."""
    routed = Endpoint.objects.filter(model=model).exclude(digest="").order_by("name").first()
    return f"endpoint {routed.name}" if routed else ""
