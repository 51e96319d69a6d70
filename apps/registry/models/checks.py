"""Checks of a promotion request as they are made, and the files that they read."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.events.columns import UUID7, choices, matches, one_of
from apps.registry.models.catalogue import ModelVersion
from apps.registry.models.promotion import PromotionRequest
from apps.registry.policy import Finding, Verdict


class CheckState(StrEnum):
    """Where a check stands. WAITING is for somebody else's answer."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"


OPEN_CHECKS = (CheckState.QUEUED.value, CheckState.RUNNING.value, CheckState.WAITING.value)


class CheckRunQuerySet(models.QuerySet["CheckRun"]):
    """Reads over checks."""

    def unfinished(self) -> Self:
        """Checks that have no verdict yet."""
        return self.filter(state__in=OPEN_CHECKS)

    def due(self, *, now: datetime) -> Self:
        """Unfinished ones that nobody is at: left by a worker, or their time is up."""
        return self.unfinished().filter(due_at__lte=now).order_by("due_at")


class CheckRun(models.Model):
    """One check of one request: the newest time that it was made.

    `due_at` is when somebody may take it up (queued), when its worker is taken for dead (running),
    or when the answer is given up (waiting). `attempts` fences late workers off. A verdict that the
    policy lets go is waived by a person, with a reason, and stays what it is.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    request = models.ForeignKey(PromotionRequest, on_delete=models.CASCADE, related_name="checks")
    name = models.CharField(max_length=80)
    title = models.CharField(max_length=120)
    required = models.BooleanField()
    state = models.CharField(
        max_length=20, choices=choices(CheckState), default=CheckState.QUEUED.value
    )
    verdict = models.CharField(max_length=20, choices=choices(Verdict), blank=True)
    detail = models.TextField(blank=True)
    figures = models.JSONField(default=dict, blank=True)
    link = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    callback_digest = models.CharField(max_length=64, blank=True)
    due_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    waived_by = models.CharField(max_length=200, blank=True)
    waiver_reason = models.TextField(blank=True)
    waived_at = models.DateTimeField(null=True, blank=True)

    objects = CheckRunQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        indexes = (
            models.Index(fields=["due_at"], condition=Q(state__in=OPEN_CHECKS), name="check_due"),
        )
        constraints = (
            models.UniqueConstraint(fields=["request", "name"], name="check_once"),
            models.UniqueConstraint(
                fields=["callback_digest"],
                condition=~Q(callback_digest=""),
                name="check_callback_once",
            ),
            one_of("check_state", "state", CheckState),
            models.CheckConstraint(
                condition=Q(verdict__in=[verdict.value for verdict in Verdict])
                ^ Q(verdict="", state__in=OPEN_CHECKS),
                name="check_verdict",
            ),
            models.CheckConstraint(
                condition=Q(waived_at__isnull=True)
                | (
                    Q(verdict__in=(Verdict.INCONCLUSIVE.value, Verdict.ERROR.value))
                    & Q(waived_by__startswith="user:")
                    & ~Q(waiver_reason="")
                ),
                name="check_waiver",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} of {self.request_id}: {self.verdict or self.state}"

    def finding(self) -> Finding:
        """What the rules of promotion read of it."""
        return Finding(
            name=self.name,
            title=self.title,
            verdict=Verdict(self.verdict) if self.state == CheckState.DONE else None,
            required=self.required,
            waived=self.waived_at is not None,
        )


class EvidenceFile(models.Model):
    """A small file that checks read, kept with the version: an evaluation table, requirements.

    It was copied once, from where the version came, and is not changed. `summary` is what was
    counted in it: an `apps.registry.evaluation.table.Evaluated`, or {"requirements"}; {"fault"}
    says why it could not be read.
    """

    version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="evidence_files"
    )
    name = models.CharField(max_length=80)
    uri = models.CharField(max_length=500)
    digest = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    summary = models.JSONField(default=dict, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["version", "name"], name="evidence_file_once"),
            matches("evidence_file_digest", "digest"),
        )

    def __str__(self) -> str:
        return f"{self.name} of {self.version_id}"
