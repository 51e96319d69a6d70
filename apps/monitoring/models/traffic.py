"""Exact counts of what was answered and refused, by second, minute and hour."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class TrafficCounts(models.Model):
    """Exact counts of one variant from `started_at` on, for as long as the window is wide.

    `requests` counts answers of every kind; `failed` is the sum of `errors` (count by kind).
    `latency`: count by log-bin of serving.sketches, in ms; `predictions`: by 20 bins of [0, 1].
    `fallback_kinds`: "stale", "variant" and "default" make up `fallbacks`; "503" were errors.
    `lookup_misses` are rows with a default for a feature that the store lacked, `lookup_unread`
    those with defaults because the store was late or away.
    """

    endpoint = models.TextField()
    started_at = models.DateTimeField()
    version_key = models.TextField()
    variant = models.TextField()
    phase = models.IntegerField()
    requests = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    errors = models.JSONField(default=dict)
    cache_hits = models.BigIntegerField(default=0)
    fallbacks = models.BigIntegerField(default=0)
    fallback_kinds = models.JSONField(db_default={}, default=dict)
    pinned = models.BigIntegerField(default=0)
    latency = models.JSONField(default=dict)
    latency_sum_ms = models.FloatField(default=0)
    predictions = models.JSONField(default=dict)
    prediction_sum = models.FloatField(default=0)
    positives = models.BigIntegerField(default=0)
    batches = models.BigIntegerField(default=0)
    batch_rows = models.BigIntegerField(default=0)
    lookup_misses = models.BigIntegerField(db_default=0, default=0)
    lookup_unread = models.BigIntegerField(db_default=0, default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.endpoint} {self.variant} at {self.started_at:%Y-%m-%dT%H:%M:%S}"


class TrafficWindow(TrafficCounts):
    """Counts of one second; kept for an hour."""

    pk = models.CompositePrimaryKey("endpoint", "started_at", "version_key", "variant", "phase")


class TrafficRollup(TrafficCounts):
    """The same counts of a whole minute or hour (`width_s` 60 or 3600), from the first second on.

    Both are written with the seconds, in the same transaction: nothing has to be caught up with.
    """

    pk = models.CompositePrimaryKey(
        "endpoint", "width_s", "started_at", "version_key", "variant", "phase"
    )
    width_s = models.PositiveSmallIntegerField()


class RejectedWindow(models.Model):
    """Requests of one second that were refused before they were assigned to a variant.

    `count` has each request once, under the first of its faults; `faults` has all of them.
    """

    endpoint = models.TextField(blank=True)
    started_at = models.DateTimeField()
    reason = models.TextField()
    feature = models.TextField(blank=True)
    count = models.BigIntegerField()
    faults = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["endpoint", "started_at", "reason", "feature"], name="rejected_once"
            ),
        )
        indexes = (BrinIndex(fields=["started_at"], name="rejected_started", autosummarize=True),)

    def __str__(self) -> str:
        return f"{self.endpoint} {self.reason}: {self.count}"
