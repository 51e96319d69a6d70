"""Sampled predictions, and what applications observed after them."""

from typing import Self

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.events.columns import one_of


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
