"""Units, unsampled: who saw which variant, and whom one failed first."""

from django.db import models
from django.db.models import Q


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
