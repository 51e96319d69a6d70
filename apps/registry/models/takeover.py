"""The work of taking a version's artifact over, and what it was told to take."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.registry.models.catalogue import ModelVersion


class TakeoverQuerySet(models.QuerySet["Takeover"]):
    """Reads over takeovers."""

    def open(self) -> Self:
        """Those that have not ended."""
        return self.filter(finished_at__isnull=True)

    def unheld(self, *, now: datetime) -> Self:
        """Open, and not in the hands of a living worker; oldest first."""
        return self.open().filter(lease_expires_at__lte=now).order_by("id")


class Takeover(models.Model):
    """How the artifact of a version comes in; one row per version, kept as a record.

    `order` is an `apps.registry.intake.order.Order`. A worker holds the row until
    `lease_expires_at`, and `attempts` is its fencing number: what a worker of an earlier attempt
    writes, progress or result, finds no row. `step` says in words what is being done, with bytes
    where there are any to count. `fault` is {code, field} of the error that ended it.
    """

    version = models.OneToOneField(ModelVersion, on_delete=models.CASCADE, related_name="takeover")
    order = models.JSONField(default=dict)
    step = models.CharField(max_length=200, blank=True)
    done_bytes = models.PositiveBigIntegerField(default=0)
    total_bytes = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    fault = models.JSONField(default=dict, blank=True)
    lease_expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = TakeoverQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(finished_at__isnull=True),
                name="takeover_open",
            ),
        )

    def __str__(self) -> str:
        return f"takeover of {self.version_id}: {self.step}"
