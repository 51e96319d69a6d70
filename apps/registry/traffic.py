"""Whether a model's traffic is steered here: the floor that does so says which models are."""

from collections.abc import Callable

from apps.registry.models import RegisteredModel

Steers = Callable[[RegisteredModel], str]

_steering: list[Steers] = []


def register(steers: Steers) -> None:
    """Add who can tell; it names what steers the model ("endpoint flights"), "" for nothing."""
    if steers not in _steering:
        _steering.append(steers)


def steered_by(model: RegisteredModel) -> str:
    """What steers the model's traffic, "" where nothing does."""
    return next((said for steers in _steering if (said := steers(model))), "")
