"""What a version's page shows of this app: that MLflow has it otherwise."""

from typing import Any

from apps.mirror import selectors
from apps.mirror.words import sentence
from apps.registry import panels
from apps.registry.models import ModelVersion

SHOWN = 10


def register() -> None:
    """Called when the app is ready."""
    panels.register(panels.Panel("mirror", "In MLflow", "mirror/_panel.html", differences))


def differences(version: ModelVersion) -> dict[str, Any] | None:
    """Open differences of a version and its model; None where there are none."""
    rows = list(selectors.open_of_version(version)[:SHOWN])
    return {"differences": [(row, sentence(row)) for row in rows]} if rows else None
