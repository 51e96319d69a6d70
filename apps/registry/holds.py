"""What keeps a model from being renamed or deleted: upper floors say what they have of it."""

from collections.abc import Callable

from apps.registry.models import ModelVersion, RegisteredModel

Hold = Callable[[RegisteredModel, ModelVersion | None], str]

_holds: dict[str, Hold] = {}


def register(slug: str, hold: Hold) -> None:
    """Add a hold: why this model (or one version of it) has to stay, or "" when it need not."""
    _holds[slug] = hold


def reason(model: RegisteredModel, version: ModelVersion | None = None) -> str:
    """The first reason found, "" for none."""
    return next((said for slug in sorted(_holds) if (said := _holds[slug](model, version))), "")
