"""Delivery of chained events to subscribers: at least once, in order, each at its own pace."""

import time
from datetime import datetime, timedelta

import structlog
from django.db.models import F
from django.utils import timezone

from apps.events import chain
from apps.events.models import ChainedEvent, Cursor, DeadLetter
from apps.events.subscriptions import Subscription, all_subscriptions

log = structlog.get_logger(__name__)

BATCH = 50
NOTE_SECONDS = 0.1
MAX_ATTEMPTS = 12
FIRST_RETRY = timedelta(seconds=0.5)
LONGEST_RETRY = timedelta(seconds=60)


def register_subscribers() -> None:
    """Give every subscriber a cursor.

    On a new installation they start at the beginning; one that is added later starts at the
    head, so that an upgrade does not replay years of events into it.
    """
    known = set(Cursor.objects.values_list("subscriber", flat=True))
    start = chain.head().seq if known else 0
    names = [one.name for one in all_subscriptions() if one.name not in known]
    Cursor.objects.bulk_create(
        [Cursor(subscriber=name, seq=start) for name in names], ignore_conflicts=True
    )


def deliver_all(*, now: datetime) -> bool:
    """Give each subscriber its next events; return whether any has more waiting right now."""
    last = chain.head().seq
    cursors = {cursor.subscriber: cursor for cursor in Cursor.objects.filter(seq__lt=last)}
    behind = False
    for subscription in all_subscriptions():
        cursor = cursors.get(subscription.name)
        if cursor is not None and not _waits(cursor, now):
            behind |= deliver(subscription, cursor, last=last)
    return behind


def deliver(subscription: Subscription, cursor: Cursor, *, last: int) -> bool:
    """Deliver up to BATCH events from the cursor on; return whether more are waiting.

    Stops at the first failure. The cursor is written at the end, and every NOTE_SECONDS on the
    way: a crash in between delivers again what was delivered since. Handlers are idempotent.
    """
    end = min(cursor.seq + BATCH, last)
    noted = time.monotonic()
    for chained in _next(cursor, end):
        if not subscription.hears(chained.event.verb):
            continue
        error = _call(subscription, chained)
        if error and not _give_up(cursor, chained, error):
            return False
        if error or cursor.attempts or time.monotonic() - noted > NOTE_SECONDS:
            _advance(cursor, chained.seq)
            noted = time.monotonic()
    _advance(cursor, end)
    return end < last


def replay(letter: DeadLetter) -> bool:
    """Offer a dead letter to its subscriber again; return whether it was taken.

    The events after it were delivered in the meantime: the handler must cope with that.
    """
    for subscription in all_subscriptions():
        if subscription.name == letter.subscriber:
            error = _call(subscription, letter.chained)
            changes = {"error": error} if error else {"replayed_at": timezone.now()}
            DeadLetter.objects.filter(pk=letter.pk).update(**changes)
            return not error
    return False


def next_retry(*, now: datetime) -> float | None:
    """Seconds until the first held subscriber is due, or None when none is held."""
    due = (
        Cursor.objects.filter(retry_at__isnull=False, seq__lt=chain.head().seq)
        .order_by("retry_at")
        .values_list("retry_at", flat=True)
        .first()
    )
    return None if due is None else max(0.0, (due - now).total_seconds())


def _next(cursor: Cursor, end: int) -> list[ChainedEvent]:
    chained = ChainedEvent.objects.filter(seq__gt=cursor.seq, seq__lte=end)
    return list(chained.select_related("event").order_by("seq"))


def _waits(cursor: Cursor, now: datetime) -> bool:
    return cursor.retry_at is not None and cursor.retry_at > now


def _call(subscription: Subscription, chained: ChainedEvent) -> str:
    """Run the handler; return what went wrong, or nothing."""
    try:
        subscription.handler(chained.event)
    except Exception as error:
        # Whatever a subscriber raises holds that subscriber only; it is kept and shown.
        log.warning(
            "subscriber.failed",
            subscriber=subscription.name,
            seq=chained.seq,
            verb=chained.event.verb,
            exc_info=True,
        )
        return f"{type(error).__name__}: {error}"[:2000]
    return ""


def _give_up(cursor: Cursor, chained: ChainedEvent, error: str) -> bool:
    """Note a failure; after MAX_ATTEMPTS put the event aside and say so."""
    if cursor.attempts + 1 >= MAX_ATTEMPTS:
        DeadLetter.objects.get_or_create(
            subscriber=cursor.subscriber, chained=chained, defaults={"error": error}
        )
        log.error("subscriber.gave_up", subscriber=cursor.subscriber, seq=chained.seq)
        return True
    wait = min(FIRST_RETRY * 2**cursor.attempts, LONGEST_RETRY)
    # Up to just before this event: what was passed over before it need not be read again.
    Cursor.objects.filter(pk=cursor.pk).update(
        seq=chained.seq - 1,
        attempts=F("attempts") + 1,
        retry_at=timezone.now() + wait,
        error=error,
        updated_at=timezone.now(),
    )
    return False


def _advance(cursor: Cursor, seq: int) -> None:
    if seq == cursor.seq and not cursor.attempts:
        return
    Cursor.objects.filter(pk=cursor.pk).update(
        seq=seq, attempts=0, retry_at=None, error="", updated_at=timezone.now()
    )
    cursor.seq, cursor.attempts, cursor.retry_at = seq, 0, None
