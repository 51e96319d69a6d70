"""Pages of model cards: reading, writing, downloading."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.access import Permission
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.errors import Invalid
from apps.registry.card.reading import card_of
from apps.registry.models import ModelVersion, RegisteredModel
from apps.registry.selectors import get_model, get_version
from apps.registry.services.cards import write_card
from apps.registry.views.catalogue import EDITIONS, heading

STARTER = """\
## What it is for

Whose decision it helps, and how its answer is used.

## What it is not for

## What to watch

It was right in {{ metrics.accuracy }} of the test rows.
"""


@require_GET
@page(Permission.VIEW)
def card(request: HttpRequest, name: str) -> HttpResponse:
    """The card of the version in production, or of the newest one."""
    found = get_model(name)
    shown = _shown(found)
    context = {
        **heading(found),
        "tab": "card",
        "version": shown,
        "card": card_of(shown) if shown else None,
        "editions": found.card_editions.all()[:EDITIONS],
        "can_edit": principal_of(request).can(Permission.REGISTER, found.team.key),
    }
    return render(request, "registry/card.html", context)


def _shown(found: RegisteredModel) -> ModelVersion | None:
    top = found.versions.at_the_top().order_by("-approved_at").first()
    shown: ModelVersion | None = top or found.versions.order_by("-number").first()
    if shown is not None:
        shown.model = found
    return shown


@require_http_methods(["GET", "POST"])
@page(Permission.REGISTER)
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Write the owner's part of the card, starting from the newest edition or an earlier one."""
    found = get_model(name)
    if request.method == "POST":
        edition = write_card(
            actor=principal_of(request),
            model=found,
            text=request.POST.get("text", ""),
            reason=reason_of(request),
            after=_number(request.POST.get("after", "")),
        )
        messages.success(request, f"Edition {edition.number} of the card is kept.")
        return redirect("model-card", name)
    editions = list(found.card_editions.all()[:EDITIONS])
    wanted = request.GET.get("edition", "")
    chosen = next((one for one in editions if str(one.number) == wanted), None)
    newest = editions[0] if editions else None
    text = (chosen or newest).text if editions else STARTER  # type: ignore[union-attr]  # is there
    context = {
        **heading(found),
        "editions": editions,
        "newest": newest,
        "chosen": chosen,
        "text": text,
    }
    return render(request, "registry/card_edit.html", context)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise Invalid("is the number of the edition before, 0 for none", field="after")
    return int(text)


@require_GET
@page(Permission.VIEW)
def file(request: HttpRequest, name: str, ref: str) -> HttpResponse:
    """A version's card as a Markdown file."""
    found = get_version(name, ref)
    answer = HttpResponse(card_of(found).markdown, content_type="text/markdown; charset=utf-8")
    file_name = f"{found.model.name}-v{found.number}.md".replace(" ", "-")
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer
