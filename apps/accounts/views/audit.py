"""The page of the audit trail."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.access import Permission
from apps.accounts.keyset import keyset
from apps.accounts.pages import page
from apps.accounts.principals import principal_of
from apps.events.models import ChainedEvent, Event


@require_GET
@page(Permission.VIEW)
def audit(request: HttpRequest) -> HttpResponse:
    """Every event that the reader may see, newest first, filtered by object, verb and actor."""
    query = request.GET
    found = Event.objects.visible_to(principal_of(request)).matching(
        object_key=query.get("object", "").strip(),
        verb=query.get("verb", "").strip(),
        actor_key=query.get("actor", "").strip(),
    )
    filters = query.copy()
    filters.pop("before", None)
    context = {
        "page": keyset(request, found),
        "chain_words": _chain_words(),
        "csv_href": f"{reverse('api-events-export')}?{filters.urlencode()}",
    }
    return render(request, "events/audit.html", context)


def _chain_words() -> str:
    last = ChainedEvent.objects.order_by("-seq").first()
    if last is None:
        return "No event is chained yet."
    return f"{last.seq:,} events in the hash chain, head {bytes(last.digest).hex()[:12]}."
