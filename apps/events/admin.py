"""Admin pages of the event log."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.events import delivery
from apps.events.administration import ReadOnlyAdmin
from apps.events.errors import Conflict
from apps.events.models import Cursor, DeadLetter, Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    """The audit trail."""

    list_display = ("occurred_at", "verb", "object_key", "actor_key", "team_key", "reason")
    list_filter = ("team_key",)
    search_fields = ("verb", "object_key", "actor_key")


@admin.register(Cursor)
class CursorAdmin(ReadOnlyAdmin):
    """How far each subscriber has come, and what holds it."""

    list_display = ("subscriber", "seq", "attempts", "retry_at", "error")


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Events that a subscriber gave up on."""

    list_display = ("subscriber", "chained", "failed_at", "replayed_at", "error")
    list_filter = ("subscriber",)
    list_select_related = ("chained__event",)
    actions = ("replay",)

    @admin.action(description="Deliver again", permissions=["view"])
    def replay(self, request: HttpRequest, rows: QuerySet[DeadLetter]) -> None:
        """Offer the events to their subscribers once more."""
        self.perform(request, rows.select_related("chained__event"), _replay)


def _replay(letter: DeadLetter, _reason: str) -> None:
    if not delivery.replay(letter):
        raise Conflict("the subscriber did not take it")
