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
    """A card on the version and approval pages; `context` None means nothing to show.

    `tab` is the tab of the version's page that it stands on ("" for none), `signed` whether the
    approver's page shows it, too.
    """

    slug: str
    title: str
    template: str
    context: Context
    tab: str = "summary"
    signed: bool = True


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


def render(version: ModelVersion, *, tab: str | None = None) -> list[Rendered]:
    """Panels of a tab, or of the approver's page, that have something to say; by slug."""
    rendered = []
    for slug in sorted(_panels):
        panel = _panels[slug]
        wanted = panel.signed if tab is None else panel.tab == tab
        context = panel.context(version) if wanted else None
        if context is not None:
            html = render_to_string(panel.template, context)
            rendered.append(Rendered(slug, panel.title, html))
    return rendered
