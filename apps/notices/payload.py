"""An event as the body of a message, and which events an address hears."""

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from apps.events.models import Event

MOST_BYTES = 64 * 1024
PING = "webhook.test"


def hears(verbs: Sequence[str], objects: Sequence[str], *, verb: str, object_key: str) -> bool:
    """Whether fnmatch patterns name this verb and this object; no pattern means all."""
    return _fits(verbs, verb) and _fits(objects, object_key)


def body_of(event: Event) -> str:
    """The event as JSON; what it changed is left out where that is longer than 64 KiB."""
    told = _message(event, before=event.before, after=event.after)
    if len(told.encode()) > MOST_BYTES:
        return _message(event, before=None, after=None, shortened=True)
    return told


def ping_body(*, team_key: str, webhook_key: str, at: str) -> str:
    """What a test sends: the shape of an event that changes nothing."""
    return _text(PING, at, {"object": webhook_key, "team": team_key})


def _message(event: Event, **told: object) -> str:
    data = {
        "event_id": str(event.pk),
        "object": event.object_key,
        "team": event.team_key,
        "actor": event.actor_key,
        "responsible": event.responsible_key,
        "reason": event.reason,
        "correlation_id": event.correlation_id,
        **told,
    }
    return _text(event.verb, event.occurred_at.isoformat(), data)


def _text(verb: str, at: str, data: Mapping[str, object]) -> str:
    message = {"type": verb, "timestamp": at, "data": data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def _fits(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
