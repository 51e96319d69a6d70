"""What upper floors show on this floor's pages: they register panels at start-up."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from apps.registry.models import ModelVersion

Context = Callable[[ModelVersion], dict[str, Any] | None]


@dataclass(frozen=True)
class Panel:
    """A card on the version and approval pages; `context` None means nothing to show."""

    slug: str
    title: str
    template: str
    context: Context


@dataclass(frozen=True)
class Rendered:
    """A panel as the page takes it."""

    slug: str
    title: str
    html: SafeString


_panels: dict[str, Panel] = {}


def register(panel: Panel) -> None:
    """Add a panel; slugs are unique."""
    _panels[panel.slug] = panel


def render(version: ModelVersion) -> list[Rendered]:
    """Every panel that has something to say about the version, by slug."""
    rendered = []
    for slug in sorted(_panels):
        panel = _panels[slug]
        context = panel.context(version)
        if context is not None:
            html = render_to_string(panel.template, context)
            rendered.append(Rendered(slug, panel.title, html))
    return rendered
