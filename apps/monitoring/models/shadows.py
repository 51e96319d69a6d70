"""What shadows said beside what was served."""

from django.db import models


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


class ShadowPrediction(models.Model):
    """The label that a shadow gave a sampled request; `prediction_id` is the served prediction's.

    The truth, when it arrives, is that row's: see `PredictionRow`.
    """

    pk = models.CompositePrimaryKey("prediction_id", "version_key", "occurred_at")
    prediction_id = models.TextField()
    version_key = models.TextField()
    occurred_at = models.DateTimeField()
    endpoint = models.TextField()
    label = models.TextField()

    class Meta:
        indexes = (models.Index(fields=["version_key", "occurred_at"], name="shadow_truth"),)

    def __str__(self) -> str:
        return f"{self.version_key} of {self.prediction_id}"
