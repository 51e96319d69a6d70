"""The gapless hash chain over committed events: appending to it, and proving it."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta

from django.db import connection, transaction
from django.db.models import Func, UUIDField, Value

from apps.events.models import ChainedEvent, Cursor, Event, EventQuerySet

GENESIS = bytes(32)
BATCH = 500
# Appending is serialised in the database, whatever the relays believe of their leadership.
APPEND_LOCK = 0x5359_0001
# An event gets its id when it is inserted and is seen when its transaction commits. Within this
# stretch late ones are found by every pass; a full pass, now and then, finds any other.
RECENT_SHIFT = timedelta(hours=-1)


@dataclass(frozen=True)
class Head:
    """The last link of the chain: its number and digest."""

    seq: int
    digest: bytes


@dataclass(frozen=True)
class Fault:
    """Where the chain does not hold, and how."""

    seq: int
    detail: str


def canonical(event: Event) -> bytes:
    """An event as the bytes that are hashed: JSON with sorted keys, instants in UTC."""
    fields = {
        "id": str(event.id),
        "occurred_at": event.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_key": event.actor_key,
        "responsible_key": event.responsible_key,
        "verb": event.verb,
        "object_key": event.object_key,
        "team_key": event.team_key,
        "before": event.before,
        "after": event.after,
        "reason": event.reason,
        "correlation_id": event.correlation_id,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def link(previous: bytes, event: Event) -> bytes:
    """SHA-256 over the digest before it and the event's canonical JSON."""
    return hashlib.sha256(previous + canonical(event)).digest()


def head() -> Head:
    """The chain's last link; number 0 and zero bytes when there is none."""
    last = ChainedEvent.objects.order_by("-seq").first()
    return Head(last.seq, bytes(last.digest)) if last else Head(0, GENESIS)


def append_committed(*, everything: bool = False) -> int:
    """Chain committed events that are not yet chained, in id order; return how many (<= BATCH).

    An older id that commits late gets a later number. `everything` looks beyond the last hour.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [APPEND_LOCK])
        waiting = list(unchained(everything=everything)[:BATCH])
        ChainedEvent.objects.bulk_create(_links(head(), waiting))
    return len(waiting)


def unchained(*, everything: bool = False) -> EventQuerySet:
    """Committed events without a place in the chain, oldest id first."""
    events = Event.objects.filter(chained__isnull=True).order_by("id")
    if everything:
        return events
    return events.filter(
        id__gte=Func(Value(RECENT_SHIFT), function="uuidv7", output_field=UUIDField())
    )


def verify(*, start: Head = Head(0, GENESIS)) -> Iterator[Fault]:
    """Walk the chain in order and yield every place where it does not hold.

    Reads each link with its event; after a fault the walk goes on from the digest that is stored,
    so that one changed event is one fault and not thousands.
    """
    seq, digest = start.seq, start.digest
    links = ChainedEvent.objects.filter(seq__gt=seq).select_related("event").order_by("seq")
    for chained in links.iterator(chunk_size=BATCH):
        if chained.seq != seq + 1:
            yield Fault(chained.seq, f"links {seq + 1} to {chained.seq - 1} are missing")
        elif bytes(chained.digest) != link(digest, chained.event):
            yield Fault(chained.seq, f"event {chained.event_id} does not fit its digest")
        seq, digest = chained.seq, bytes(chained.digest)
    ahead = Cursor.objects.filter(seq__gt=seq).order_by("-seq").first()
    if ahead is not None:
        yield Fault(ahead.seq, f"{ahead.subscriber} was given links that are missing")


def _links(last: Head, events: Iterable[Event]) -> Iterator[ChainedEvent]:
    seq, digest = last.seq, last.digest
    for event in events:
        seq, digest = seq + 1, link(digest, event)
        yield ChainedEvent(seq=seq, event=event, digest=digest)
