"""What monitoring shows on the pages of the floors beneath."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from apps.monitoring import answers
from apps.monitoring.shadow import ENOUGH_ROWS, ShadowComparison
from apps.monitoring.shadows import shadow_comparison
from apps.registry import panels as registry_panels
from apps.registry.models import ModelVersion
from apps.routing import panels as routing_panels
from apps.routing.models import Endpoint

SPAN = timedelta(days=7)
MOST_SEGMENTS = 12


def register() -> None:
    """Called once, when the app is ready."""
    registry_panels.register(
        registry_panels.Panel(
            "shadow", "As a shadow", "monitoring/shadow_panel.html", version, tab="evidence"
        )
    )
    routing_panels.register(
        routing_panels.Panel(
            "serving", "monitoring/endpoint_answers.html", answers.panel, answers.pieces
        )
    )
    routing_panels.register(
        routing_panels.Panel("shadow", "monitoring/endpoint_shadow_panel.html", endpoint)
    )


def version(found: ModelVersion) -> dict[str, Any] | None:
    """How the version compared wherever it was a shadow in the last week."""
    return _context(shadow_comparison(None, found.version_key, timezone.now() - SPAN))


def endpoint(found: Endpoint) -> dict[str, Any] | None:
    """The endpoint's shadows of the last week, without their segments."""
    since = timezone.now() - SPAN
    return _context(shadow_comparison(found.name, since=since, segment=""))


def _context(comparisons: list[ShadowComparison]) -> dict[str, Any] | None:
    if not comparisons:
        return None
    return {
        "comparisons": comparisons,
        "days": SPAN.days,
        "enough": ENOUGH_ROWS,
        "shown": f":{MOST_SEGMENTS}",
    }
