"""Writing the event log, and hearing of what it says."""

from typing import Protocol

import structlog
from django.db import connection, transaction

from apps.events.errors import Conflict
from apps.events.models import Event
from apps.events.subscriptions import subscribe

__all__ = ["Actor", "record", "subscribe"]

CHANNEL = "switchyard_events"


class Actor(Protocol):
    """Whoever does something: "user:ada", "service:ci" or "system:rollout"."""

    @property
    def key(self) -> str: ...

    @property
    def responsible_key(self) -> str: ...


def record(
    *,
    actor: Actor,
    verb: str,
    object_key: str,
    team_key: str = "",
    before: object = None,
    after: object = None,
    reason: str = "",
    correlation_id: str = "",
) -> Event:
    """Add one event to the log in the transaction of the change that it tells of.

    `before` and `after` are JSON-able; the correlation id is by default the running request's.
    Raises Conflict outside a transaction: an event without its change, or a change without its
    event, must not be possible.
    """
    if not connection.in_atomic_block:
        raise Conflict(f"event {verb} recorded outside a transaction")
    event = Event.objects.create(
        actor_key=actor.key,
        responsible_key=actor.responsible_key,
        verb=verb,
        object_key=object_key,
        team_key=team_key,
        before=before,
        after=after,
        reason=reason,
        correlation_id=correlation_id or _running_request(),
    )
    _wake_the_relay()
    return event


def _running_request() -> str:
    return str(structlog.contextvars.get_contextvars().get("correlation_id", ""))


def _wake_the_relay() -> None:
    """After the commit, and once however many events the transaction records."""
    if all(entry[1] is not _notify for entry in connection.run_on_commit):
        transaction.on_commit(_notify, robust=True)


def _notify() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")
