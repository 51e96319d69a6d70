"""What the data plane reported: exact aggregates, and rows by which outcomes find predictions.

Endpoints, versions ("flights/2") and variants are plain text here: facts outlive what they tell
of, and no fact waits for a lookup. `TrafficWindow`, `TrafficRollup`, `ShadowWindow` and
`PredictionRow` are partitioned by day of `started_at` or `occurred_at`; see
`apps.monitoring.partitions`.
"""

from typing import Self

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.events.columns import one_of


class IngestedBatch(models.Model):
    """A batch whose facts are counted. Its key commits together with its aggregates.

    `joins_pending`: its records and outcomes have still to be joined (`ingest.labels`).
    `dropped`: rows that the gateway lost to a full spool before this batch.
    """

    gateway = models.TextField()
    boot = models.TextField()
    seq = models.BigIntegerField()
    sealed_at = models.DateTimeField()
    ingested_at = models.DateTimeField(db_default=Now())
    records = models.PositiveIntegerField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)
    joins_pending = models.BooleanField(default=False)

    class Meta:
        indexes = (
            models.Index(
                fields=["id"], condition=Q(joins_pending=True), name="batch_joins_pending"
            ),
            BrinIndex(fields=["ingested_at"], name="batch_ingested", autosummarize=True),
        )
        constraints = (
            models.UniqueConstraint(fields=["gateway", "boot", "seq"], name="batch_once"),
        )

    def __str__(self) -> str:
        return f"{self.gateway}/{self.boot}/{self.seq}"


class GatewayBoot(models.Model):
    """How far one life of a gateway is ingested.

    Every batch up to `contiguous_seq` is committed. Rows of IngestedBatch up to `pruned_seq` are
    deleted and still count as seen.
    """

    gateway = models.TextField()
    boot = models.TextField()
    contiguous_seq = models.BigIntegerField(default=0)
    pruned_seq = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["gateway", "boot"], name="boot_once"),
            models.CheckConstraint(
                condition=Q(pruned_seq__lte=models.F("contiguous_seq")), name="boot_pruned"
            ),
        )

    def __str__(self) -> str:
        return f"{self.gateway}/{self.boot} up to {self.contiguous_seq}"


class PendingRecords(models.Model):
    """A batch whose sampled records are not in the lake yet; `envelope` is the batch's bytes."""

    batch = models.OneToOneField(
        IngestedBatch, on_delete=models.PROTECT, primary_key=True, related_name="pending_records"
    )
    envelope = models.BinaryField()

    def __str__(self) -> str:
        return f"records of batch {self.batch_id}"


class DeadBatch(models.Model):
    """A batch that could not be read or stored; it is kept until it is replayed.

    `seq` is null when not even the batch's key could be read. `digest` is the envelope's SHA-256:
    however often a gateway sends it, it lies here once.
    """

    stream = models.TextField()
    gateway = models.TextField(blank=True)
    boot = models.TextField(blank=True)
    seq = models.BigIntegerField(null=True)
    envelope = models.BinaryField()
    digest = models.CharField(max_length=64, unique=True)
    error = models.TextField()
    failed_at = models.DateTimeField(db_default=Now())
    replayed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "dead batches"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.gateway or self.stream}/{self.boot or '?'}/{self.seq or '?'}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"batch:{self}"


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


class ShadowWindow(models.Model):
    """A shadow beside what was served, over a whole minute or hour (`width_s` 60 or 3600).

    `version_key` is the shadow's, `baseline_key` that of the version which answered. `segment` ""
    is all rows, else "feature=value". The sums are those of contracts.records.Comparison.
    """

    pk = models.CompositePrimaryKey(
        "endpoint", "width_s", "started_at", "version_key", "baseline_key", "segment"
    )
    endpoint = models.TextField()
    width_s = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    version_key = models.TextField()
    baseline_key = models.TextField()
    segment = models.TextField(blank=True)
    rows = models.BigIntegerField(default=0)
    labelled = models.BigIntegerField(default=0)
    agreements = models.BigIntegerField(default=0)
    timed = models.BigIntegerField(default=0)
    dropped = models.BigIntegerField(default=0)
    shift_sum = models.FloatField(default=0)
    shift_squares = models.FloatField(default=0)
    delay_sum_ms = models.FloatField(default=0)
    delay_squares = models.FloatField(default=0)
    shifts = models.JSONField(default=dict)
    baseline_latency = models.JSONField(default=dict)
    shadow_latency = models.JSONField(default=dict)
    errors = models.JSONField(default=dict)

    class Meta:
        indexes = (models.Index(fields=["version_key", "started_at"], name="shadow_version"),)

    def __str__(self) -> str:
        return f"{self.endpoint} {self.version_key} at {self.started_at:%Y-%m-%dT%H:%M:%S}"


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


class PredictionQuerySet(models.QuerySet["PredictionRow"]):
    """Reads over sampled predictions."""

    def scored(self, endpoint: str, version_key: str) -> Self:
        """A version's sampled predictions that carried a label."""
        return self.filter(endpoint=endpoint, version_key=version_key).exclude(label="")


class PredictionRow(models.Model):
    """A sampled prediction, and its true label once that arrived; features are in the lake.

    `truth` is the newest "label" outcome, observed at `truth_at`; null while none arrived.
    """

    pk = models.CompositePrimaryKey("prediction_id", "occurred_at")
    prediction_id = models.TextField()
    occurred_at = models.DateTimeField()
    ingested_at = models.DateTimeField(db_default=Now())
    endpoint = models.TextField()
    version_key = models.TextField()
    variant = models.TextField()
    phase = models.IntegerField()
    generation = models.BigIntegerField()
    unit = models.TextField(blank=True)
    client = models.TextField(blank=True)
    prediction = models.FloatField(null=True)
    label = models.TextField(blank=True)
    status = models.TextField()
    cache_hit = models.BooleanField(default=False)
    fallback = models.TextField(blank=True)
    sample_rate = models.FloatField(default=1.0)
    truth = models.TextField(null=True)  # noqa: DJ001  # null is "not known yet", "" is a label
    truth_at = models.DateTimeField(null=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(
                fields=["endpoint", "version_key", "occurred_at"], name="prediction_version"
            ),
            BrinIndex(fields=["ingested_at"], name="prediction_ingested", autosummarize=True),
        )

    def __str__(self) -> str:
        return self.prediction_id


class OutcomeState(models.TextChoices):
    """Whether an outcome found the prediction that it names."""

    BY_UNIT = "by_unit"
    WAITING = "waiting"
    JOINED = "joined"
    REFUSED = "refused"


class Outcome(models.Model):
    """What an application observed after a prediction, or of a unit; counted once by its id.

    `value` is the text of what was sent, `number` its number if it is one. An outcome that names
    a prediction of another client is REFUSED; one whose prediction is not (yet) here is WAITING.
    """

    client = models.TextField(blank=True)
    outcome_id = models.TextField()
    metric = models.TextField()
    value = models.TextField(blank=True)
    number = models.FloatField(null=True)
    prediction_id = models.TextField(blank=True)
    unit = models.TextField(blank=True)
    state = models.TextField(choices=OutcomeState.choices)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    ingested_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["client", "outcome_id"], name="outcome_once"),
            one_of("outcome_state", "state", OutcomeState),
        )
        indexes = (
            models.Index(
                fields=["prediction_id"], condition=~Q(prediction_id=""), name="outcome_prediction"
            ),
            models.Index(fields=["unit", "metric"], condition=~Q(unit=""), name="outcome_unit"),
            BrinIndex(fields=["ingested_at"], name="outcome_ingested", autosummarize=True),
        )

    def __str__(self) -> str:
        return f"{self.metric} {self.outcome_id}"


class UnitFailure(models.Model):
    """The first model-attributable failure of a unit in a rollout: what its guardrail bets on.

    `share` is the candidate's share of the buckets at that moment.
    """

    rollout_key = models.TextField()
    unit = models.TextField()
    endpoint = models.TextField()
    phase = models.IntegerField()
    variant = models.TextField()
    version_key = models.TextField()
    kind = models.TextField()
    share = models.FloatField()
    occurred_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["rollout_key", "unit"], name="failure_first"),
        )
        indexes = (models.Index(fields=["rollout_key", "occurred_at"], name="failure_order"),)

    def __str__(self) -> str:
        return f"{self.variant} {self.kind}"


class ExposureRow(models.Model):
    """The first sight of a unit in a phase, over all gateways.

    `mixed`: some gateway showed it another variant in the same phase.
    """

    endpoint = models.TextField()
    phase = models.IntegerField()
    unit = models.TextField()
    variant = models.TextField()
    version_key = models.TextField()
    experiment_key = models.TextField(blank=True)
    rollout_key = models.TextField(blank=True)
    first_at = models.DateTimeField()
    mixed = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["endpoint", "phase", "unit"], name="exposure_first"),
        )
        indexes = (
            models.Index(
                fields=["experiment_key", "variant", "unit"],
                condition=~Q(experiment_key=""),
                name="exposure_experiment",
            ),
        )

    def __str__(self) -> str:
        return f"{self.endpoint} phase {self.phase}: {self.variant}"
