"""What the event log looks like in REST."""

from typing import Any

from rest_framework import serializers

from apps.events.models import Event


class EventSerializer(serializers.ModelSerializer[Event]):
    """One event; `seq` is its place in the hash chain, null for the moment before it has one."""

    seq = serializers.SerializerMethodField()

    class Meta:
        model = Event
        fields = (
            "id",
            "seq",
            "occurred_at",
            "actor_key",
            "responsible_key",
            "verb",
            "object_key",
            "team_key",
            "before",
            "after",
            "reason",
            "correlation_id",
        )

    def get_seq(self, event: Event) -> int | None:
        """The place in the chain, if the relay gave it one."""
        chained = getattr(event, "chained", None)
        return chained.seq if chained else None


class EventFilters(serializers.Serializer[Any]):
    """Filters; all that are given must fit."""

    object = serializers.CharField(
        source="object_key", required=False, allow_blank=True, help_text='"version:flights/2"'
    )
    verb = serializers.CharField(
        required=False, allow_blank=True, help_text='"promotion.approved", or "rollout.*"'
    )
    actor = serializers.CharField(
        source="actor_key", required=False, allow_blank=True, help_text='"user:ada"'
    )
    team = serializers.CharField(source="team_key", required=False, allow_blank=True)
    since = serializers.DateTimeField(required=False, help_text="at or after")
    until = serializers.DateTimeField(required=False, help_text="before")
