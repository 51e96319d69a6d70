"""One event log: the audit trail, the outbox and the timeline at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, Self

from django.db import models
from django.db.models.functions import Now

from apps.events.columns import UUID7


class Reader(Protocol):
    """Whoever reads the log: a principal, which is of a floor above this one.

    `audited_teams` are keys of the teams whose events they may see; None means all.
    """

    @property
    def audited_teams(self) -> list[str] | None: ...


class EventQuerySet(models.QuerySet["Event"]):
    """Reads over the log."""

    def for_object(self, key: str) -> Self:
        """Events of one object, newest first."""
        return self.timeline([key])

    def timeline(self, keys: Sequence[str]) -> Self:
        """Events of several objects, newest first."""
        return self.filter(object_key__in=keys).order_by("-id")

    def visible_to(self, reader: "Reader") -> Self:
        """What a reader may see: administrators all, others their teams' and the team-less."""
        teams = reader.audited_teams
        return self if teams is None else self.filter(team_key__in=["", *teams])

    def matching(
        self,
        *,
        object_key: str = "",
        verb: str = "",
        actor_key: str = "",
        team_key: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Self:
        """Events that fit every filter given; a verb may end in `*` ("rollout.*")."""
        exact = {"object_key": object_key, "actor_key": actor_key, "team_key": team_key}
        found = self.filter(**{name: text for name, text in exact.items() if text})
        if verb:
            stem = verb.removesuffix("*")
            found = found.filter(**{"verb" if stem == verb else "verb__startswith": stem})
        if since is not None:
            found = found.filter(occurred_at__gte=since)
        if until is not None:
            found = found.filter(occurred_at__lt=until)
        return found


class Event(models.Model):
    """One thing that happened. Rows are only ever inserted; triggers refuse anything else.

    Actors and objects are keys ("user:ada", "rollout:…"), because this floor knows none of the
    tables above it. `responsible_key` is the human behind a service account.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    occurred_at = models.DateTimeField(db_default=Now())
    actor_key = models.CharField(max_length=200)
    responsible_key = models.CharField(max_length=200, blank=True)
    verb = models.CharField(max_length=100)
    object_key = models.CharField(max_length=300)
    team_key = models.CharField(max_length=100, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    correlation_id = models.CharField(max_length=100, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["object_key", "-id"], name="event_object"),
            models.Index(fields=["verb", "-id"], name="event_verb"),
            models.Index(fields=["actor_key", "-id"], name="event_actor"),
            models.Index(fields=["team_key", "-id"], name="event_team"),
        )

    def __str__(self) -> str:
        return f"{self.verb} {self.object_key}"


class ChainedEvent(models.Model):
    """An event's place in the gapless hash chain, given by the relay after the commit.

    `digest` is SHA-256 over the digest before it and the event's canonical JSON.
    """

    seq = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="chained")
    digest = models.BinaryField(max_length=32)

    class Meta:
        db_table = "event_chain"
        ordering = ("seq",)

    def __str__(self) -> str:
        return f"#{self.seq}"


class Cursor(models.Model):
    """How far a subscriber has come; a failing one holds only itself."""

    subscriber = models.CharField(max_length=100, primary_key=True)
    seq = models.BigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.subscriber} at {self.seq}"


class DeadLetter(models.Model):
    """An event that a subscriber could not take after every retry; it is kept until replayed."""

    subscriber = models.CharField(max_length=100)
    chained = models.ForeignKey(ChainedEvent, on_delete=models.PROTECT, related_name="+")
    error = models.TextField()
    failed_at = models.DateTimeField(db_default=Now())
    replayed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["subscriber", "chained"], name="dead_letter_once"),
        )

    def __str__(self) -> str:
        return f"{self.subscriber} #{self.chained_id}"
