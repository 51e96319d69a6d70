"""What upper floors show on an endpoint's page: they register panels at start-up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from apps.routing.models import Endpoint

Context = Callable[[Endpoint], dict[str, Any] | None]
Pieces = Callable[[Endpoint], dict[str, dict[str, Any]]]


def _nothing(_endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    return {}


@dataclass(frozen=True)
class Panel:
    """Cards between the split and the history; `context` None means nothing to show.

    `pieces` gives what moves of it: {"fragments": {element id: html}, "charts": {id: data}}.
    """

    slug: str
    template: str
    context: Context
    pieces: Pieces = _nothing


_panels: dict[str, Panel] = {}


def register(panel: Panel) -> None:
    """Add a panel; slugs are unique."""
    _panels[panel.slug] = panel


def render(endpoint: Endpoint) -> list[SafeString]:
    """Every panel that has something to say about the endpoint, by slug."""
    found = ((panel, panel.context(endpoint)) for _, panel in sorted(_panels.items()))
    return [
        render_to_string(panel.template, context) for panel, context in found if context is not None
    ]


def pieces(endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """What moves of every panel, merged."""
    merged: dict[str, dict[str, Any]] = {"fragments": {}, "charts": {}}
    for panel in _panels.values():
        for part, found in panel.pieces(endpoint).items():
            merged[part].update(found)
    return merged
