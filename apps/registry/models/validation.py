"""Examinations of a version."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.events.columns import UUID7, choices, matches, one_of
from apps.registry.models.catalogue import ModelVersion


class ValidationState(StrEnum):
    """Where a validation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


OPEN_VALIDATIONS = (ValidationState.QUEUED.value, ValidationState.RUNNING.value)


class ValidationQuerySet(models.QuerySet["Validation"]):
    """Reads over validations."""

    def unfinished(self, *, now: datetime) -> Self:
        """Queued for a while or left by a worker that died, oldest first."""
        return self.filter(state__in=OPEN_VALIDATIONS, lease_expires_at__lte=now).order_by("id")


class Validation(models.Model):
    """One examination of a version. `digest` is the content that was examined.

    `checks` is a list of {name, verdict: pass|fail|error, detail, figures}. A worker holds the
    row until `lease_expires_at`; after that another may take it up.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="validations")
    state = models.CharField(
        max_length=20, choices=choices(ValidationState), default=ValidationState.QUEUED.value
    )
    digest = models.CharField(max_length=64)
    checks = models.JSONField(default=list, blank=True)
    requested_by = models.CharField(max_length=200)
    attempts = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ValidationQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["version", "-id"], name="validation_newest"),
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(state__in=OPEN_VALIDATIONS),
                name="validation_open",
            ),
        )
        constraints = (
            one_of("validation_state", "state", ValidationState),
            matches("validation_digest", "digest"),
            models.UniqueConstraint(
                fields=["version"],
                condition=Q(state__in=OPEN_VALIDATIONS),
                name="validation_one_open",
            ),
        )

    def __str__(self) -> str:
        return f"validation of {self.version_id}: {self.state}"
