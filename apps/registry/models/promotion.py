"""Promotion requests and the history of stages."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.events.columns import UUID7, choices, matches, one_of
from apps.registry.models.catalogue import ModelVersion
from apps.registry.promotion import PROMOTION_TARGETS, RequestState, Stage


class PromotionRequestQuerySet(models.QuerySet["PromotionRequest"]):
    """Reads over promotion requests."""

    def open(self, *, now: datetime) -> Self:
        """Requests that wait for a decision and have not expired."""
        return self.filter(state=RequestState.REQUESTED.value, expires_at__gt=now)


class PromotionRequest(models.Model):
    """Somebody asks that a version reach a stage; somebody else decides.

    `digest` is the content asked for and `evidence` what was known then, both frozen.
    `requester` and `decider` are the humans behind `requested_by_key` and `decided_by_key`.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="requests")
    target_stage = models.CharField(max_length=20, choices=choices(Stage))
    state = models.CharField(
        max_length=20, choices=choices(RequestState), default=RequestState.REQUESTED.value
    )
    digest = models.CharField(max_length=64)
    evidence = models.JSONField()
    evidence_digest = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    requested_by_key = models.CharField(max_length=200)
    requester = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    decided_by_key = models.CharField(max_length=200, blank=True)
    decider = models.CharField(max_length=200, blank=True)
    decision_reason = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = PromotionRequestQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["state", "-id"], name="promotion_inbox"),
            models.Index(fields=["version", "-id"], name="promotion_of_version"),
        )
        constraints = (
            one_of("promotion_state", "state", RequestState),
            one_of("promotion_target", "target_stage", sorted(PROMOTION_TARGETS)),
            matches("promotion_digest", "digest"),
            models.UniqueConstraint(
                fields=["version", "target_stage"],
                condition=Q(state=RequestState.REQUESTED.value),
                name="promotion_one_open",
            ),
            models.CheckConstraint(
                condition=~Q(state=RequestState.APPROVED.value)
                | (Q(decided_by_key__startswith="user:") & ~Q(decider=F("requester"))),
                name="promotion_four_eyes",
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} to {self.target_stage}: {self.state}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"promotion:{self.pk}"


class StageTransition(models.Model):
    """One change of a version's stage; rows are only ever inserted, a trigger sees to it."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="transitions")
    from_stage = models.CharField(max_length=20, choices=choices(Stage))
    to_stage = models.CharField(max_length=20, choices=choices(Stage))
    digest = models.CharField(max_length=64)
    request = models.ForeignKey(
        PromotionRequest, on_delete=models.PROTECT, null=True, related_name="transitions"
    )
    actor_key = models.CharField(max_length=200)
    responsible_key = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    occurred_at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=["version", "-occurred_at"], name="transition_of_version"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(from_stage__in=[stage.value for stage in Stage])
                & Q(to_stage__in=[stage.value for stage in Stage]),
                name="transition_stages",
            ),
        )

    def __str__(self) -> str:
        return f"{self.version_id}: {self.from_stage} -> {self.to_stage}"
