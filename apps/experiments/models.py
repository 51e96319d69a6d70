"""Experiments: what is asked, between which arms, and where it stands."""

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.events.columns import UUID7, choices, one_of
from apps.experiments.lifecycle import BUCKETS, Decision, State
from apps.registry.models import ModelVersion
from apps.routing.models import Endpoint

STATES = choices(State)
DECISIONS = choices(Decision)


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    """Reads over experiments."""

    def described(self) -> Self:
        """With endpoint, team and arms."""
        return self.select_related("endpoint__team", "endpoint__model").prefetch_related(
            "arms__version__model"
        )


class Experiment(models.Model):
    """A question about an endpoint's users, answered by giving them different versions.

    `metrics`: list of {"name", "role": goal|guardrail, "kind", "direction"}, `name` being the
    metric of outcomes. `planned_duration` is from the start; `alpha` and `power` are what the
    sample was planned for. `baseline_phase` is the endpoint's phase that a stop brings back.
    `revision` counts transitions.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    name = models.CharField(max_length=120)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="experiments")
    hypothesis = models.TextField()
    metrics = models.JSONField(default=list)
    planned_duration = models.DurationField(default=timedelta(days=7))
    alpha = models.FloatField(default=0.05)
    power = models.FloatField(default=0.8)
    state = models.CharField(max_length=20, choices=STATES, default=State.DRAFT.value)
    revision = models.PositiveIntegerField(default=0)
    baseline_phase = models.PositiveIntegerField(null=True, blank=True)
    decision = models.CharField(max_length=20, choices=DECISIONS, blank=True)
    decision_reason = models.TextField(blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=["endpoint", "-id"], name="experiment_endpoint"),)
        constraints = (
            models.UniqueConstraint(
                fields=["endpoint"], condition=Q(state=State.RUNNING.value), name="experiment_alone"
            ),
            one_of("experiment_state", "state", State),
            models.CheckConstraint(
                condition=Q(alpha__gt=0, alpha__lt=1, power__gt=0, power__lt=1),
                name="experiment_error_rates",
            ),
            models.CheckConstraint(
                condition=Q(planned_duration__gt=timedelta()), name="experiment_duration"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[State.DRAFT.value, State.ARCHIVED.value])
                | Q(started_at__isnull=False, baseline_phase__isnull=False),
                name="experiment_started",
            ),
            models.CheckConstraint(
                condition=Q(decided_at__isnull=True, decision="")
                | (Q(decided_at__isnull=False) & ~Q(decision="")),
                name="experiment_decision",
            ),
            models.CheckConstraint(
                condition=Q(stopped_at__isnull=True) | Q(stopped_at__gte=F("started_at")),
                name="experiment_stops_after_start",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """The object key in the event log, and the holder of the endpoint's lease."""
        return f"experiment:{self.pk}"

    @property
    def planned_end_at(self) -> datetime | None:
        """When it was planned to end; None before its start."""
        return self.started_at + self.planned_duration if self.started_at else None


class Arm(models.Model):
    """A version that some of the users get; `weight` in buckets of 10,000."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    key = models.CharField(max_length=80)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="arms")
    weight = models.PositiveIntegerField()
    is_control = models.BooleanField(default=False)

    class Meta:
        ordering = ("-is_control", "id")
        constraints = (
            models.UniqueConstraint(fields=["experiment", "key"], name="arm_once"),
            models.UniqueConstraint(
                fields=["experiment"], condition=Q(is_control=True), name="arm_one_control"
            ),
            models.CheckConstraint(
                condition=Q(weight__gte=1, weight__lt=BUCKETS), name="arm_weight"
            ),
        )

    def __str__(self) -> str:
        return self.key
