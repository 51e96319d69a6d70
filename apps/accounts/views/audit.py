"""Pages of the audit trail: the log with its filters, and one event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_GET

from apps.accounts.access import Permission
from apps.accounts.keyset import keyset
from apps.accounts.models import Team
from apps.accounts.pages import page
from apps.accounts.principals import principal_of
from apps.events.errors import Invalid, NotFound
from apps.events.models import ChainedEvent, Event

EXACT = ("object", "verb", "actor", "team")
TIMES = ("since", "until")
# What is looked for most, as (title, verb).
KINDS = (
    ("Approvals", "promotion.*"),
    ("Glass broken", "promotion.glass_broken"),
    ("Versions", "version.*"),
    ("Models", "model.*"),
    ("Traffic", "endpoint.*"),
    ("Rollouts", "rollout.*"),
    ("Experiments", "experiment.*"),
    ("People", "user.*"),
    ("Tokens", "token.*"),
)


@dataclass(frozen=True)
class Change:
    """A field of what an event changed."""

    label: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the two differ."""
        return self.before != self.after


@require_GET
@page(Permission.VIEW)
def audit(request: HttpRequest) -> HttpResponse:
    """Every event that the reader may see, newest first, by object, verb, actor, team and time."""
    query = request.GET
    given = {name: query.get(name, "").strip() for name in (*EXACT, *TIMES)}
    found = Event.objects.visible_to(principal_of(request)).matching(
        object_key=given["object"],
        verb=given["verb"],
        actor_key=given["actor"],
        team_key=given["team"],
        since=_moment(given["since"], "since"),
        until=_moment(given["until"], "until"),
    )
    filters = query.copy()
    filters.pop("before", None)
    for name in [name for name in filters if not filters[name]]:
        filters.pop(name)
    context = {
        "page": keyset(request, found),
        "filters": given,
        "filtered": bool(filters),
        "object_key": given["object"],
        "teams": Team.objects.all(),
        "kinds": KINDS,
        "chain_words": _chain_words(),
        "csv_href": f"{reverse('api-events-export')}?{filters.urlencode()}",
        "lines_href": f"{reverse('api-events-lines')}?{filters.urlencode()}",
    }
    return render(request, "events/audit.html", context)


def _moment(text: str, field: str) -> datetime | None:
    """A moment of a form's field; without a zone it is UTC. Raises Invalid."""
    if not text:
        return None
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None:
        raise Invalid(f"{text[:40]!r} is no moment: say e.g. 2026-03-01T12:00", field=field)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _chain_words() -> str:
    last = ChainedEvent.objects.order_by("-seq").first()
    if last is None:
        return "No event is chained yet."
    return f"{last.seq:,} events in the hash chain, head {bytes(last.digest).hex()[:12]}."


@require_GET
@page(Permission.VIEW)
def event(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """One event: what changed, by whom, and its place in the hash chain."""
    visible = Event.objects.visible_to(principal_of(request)).select_related("chained")
    found = visible.filter(pk=event_id).first()
    if found is None:
        raise NotFound(f"there is no event {event_id} that you may see")
    chained = getattr(found, "chained", None)
    context = {
        "event": found,
        "changes": changes(found.before, found.after),
        "seq": chained.seq if chained else None,
        "digest": bytes(chained.digest).hex() if chained else "",
    }
    return render(request, "events/event.html", context)


def changes(before: Any, after: Any) -> list[Change]:
    """What an event keeps of before and after, field by field."""
    old, new = _fields(before), _fields(after)
    return [
        Change(name.replace("_", " "), old.get(name, "–"), new.get(name, "–"))
        for name in dict.fromkeys([*old, *new])
    ]


def _fields(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    fields = value if isinstance(value, Mapping) else {"value": value}
    return {str(name): _text(one) for name, one in fields.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
