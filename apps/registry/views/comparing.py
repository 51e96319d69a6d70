"""Any two versions of a model side by side."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from apps.accounts.access import Permission
from apps.accounts.pages import page
from apps.events.errors import Invalid
from apps.registry.beside import beside
from apps.registry.models import RegisteredModel
from apps.registry.selectors import get_model, get_version

CHOICES = 200


@require_GET
@page(Permission.VIEW)
def compare(request: HttpRequest, name: str) -> HttpResponse:
    """`left` and `right`, or two of `v` from the list: the older one goes to the left."""
    found = get_model(name)
    left, right = request.GET.get("left", ""), request.GET.get("right", "")
    ticked = request.GET.getlist("v")
    if ticked:
        left, right = _two(ticked)
        query = urlencode({"left": left, "right": right})
        return redirect(f"{reverse('model-compare', args=[name])}?{query}")
    if not (left and right):
        left, right = _suggested(found, left, right)
    shown = beside(get_version(name, left), get_version(name, right)) if left and right else None
    named = found.versions.order_by("-number").only("model", "number", "semantic_version", "stage")
    context = {
        "model": found,
        "left": left,
        "right": right,
        "versions": named[:CHOICES],
        "beside": shown,
        "sides": [shown.left, shown.right] if shown else [],
        "left_title": f"v{shown.left.number}" if shown else "",
        "right_title": f"v{shown.right.number}" if shown else "",
    }
    return render(request, "registry/compare.html", context)


def _two(ticked: list[str]) -> tuple[str, str]:
    if len(ticked) != 2 or not all(one.isdecimal() for one in ticked):
        raise Invalid("tick two versions", field="v")
    older, newer = sorted(ticked, key=int)
    return older, newer


def _suggested(found: RegisteredModel, left: str, right: str) -> tuple[str, str]:
    """What is not named is the champion at the left, and the newest version at the right."""
    newest = list(found.versions.order_by("-number").values_list("number", flat=True)[:2])
    top = found.versions.at_the_top().order_by("-approved_at").first()
    if len(newest) < 2:
        return left, right
    champion = top.number if top and top.number != newest[0] else newest[1]
    return left or str(champion), right or str(newest[0])
