"""Targets, deployments, rollouts and the verdicts that moved them."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Self

import msgspec
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.deployments import deployment, explaining, rollout
from apps.deployments.analysis import Conditions, Metric, Outcome
from apps.deployments.explaining import Explaining
from apps.deployments.rollout import Step
from apps.events.columns import UUID7, choices, one_of
from apps.registry.models import ModelVersion
from apps.routing.models import Endpoint


def _values(members: Iterable[StrEnum]) -> list[str]:
    return sorted(member.value for member in members)


class TargetKind(models.TextChoices):
    """Which driver serves a target."""

    TRITON = "triton"


class Target(models.Model):
    """A place that versions are deployed to.

    `settings` of a triton target: {"servers": [{"puller_url", "grpc_address",
    "address"}], "runtime", "backends"}; empty means the one that the environment names. `backends`
    are those that its Triton has beside ONNX's.
    """

    name = models.SlugField(max_length=60, unique=True)
    kind = models.CharField(
        max_length=20, choices=TargetKind.choices, default=TargetKind.TRITON.value
    )
    settings = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)
        constraints = (one_of("target_kind", "kind", TargetKind),)

    def __str__(self) -> str:
        return self.name


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    """Reads over deployments."""

    def moving(self) -> Self:
        """Deployments that a tick has to look at, oldest first."""
        return self.filter(state__in=_values(deployment.MOVING)).order_by("id")

    def explainable(self, *states: Explaining) -> Self:
        """Healthy ones whose explainer is in one of `states`, oldest first."""
        wanted = [state.value for state in states]
        healthy = self.filter(state=deployment.State.HEALTHY.value)
        return healthy.filter(explainer_state__in=wanted).order_by("id")

    def idle(self, *, now: datetime) -> Self:
        """Those that no process is busy with."""
        return self.filter(Q(busy_until_at__isnull=True) | Q(busy_until_at__lte=now))

    def of_version(self, version: ModelVersion) -> Self:
        """One version's deployments, newest first."""
        return self.filter(version=version)


class Deployment(models.Model):
    """One version on its way onto a target.

    `traffic_percentage` of the endpoint `endpoint_name` goes to it once it is healthy; `error`
    says what is wrong now, or why it failed. Every transition raises `revision`. One process at
    a time talks to the target, until `busy_until_at` at most. What explains the version follows
    once it is healthy, and has states of its own: the deployment does not wait for it.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="deployments")
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="deployments")
    state = models.CharField(
        max_length=20,
        choices=choices(deployment.State),
        default=deployment.State.PENDING.value,
    )
    revision = models.PositiveIntegerField(default=0)
    entry = models.CharField(max_length=100)
    replicas = models.PositiveSmallIntegerField(default=1)
    instance_type = models.CharField(max_length=60, default="cpu")
    traffic_percentage = models.PositiveSmallIntegerField(default=0)
    endpoint_name = models.CharField(max_length=80)
    progress = models.FloatField(default=0)
    error = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    state_entered_at = models.DateTimeField()
    healthy_at = models.DateTimeField(null=True, blank=True)
    busy_until_at = models.DateTimeField(null=True, blank=True)
    explainer_state = models.CharField(
        max_length=20, choices=choices(Explaining), default=Explaining.NONE.value
    )
    explainer_error = models.TextField(blank=True)
    explainer_entered_at = models.DateTimeField(null=True, blank=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["version", "-id"], name="deployment_of_version"),
            models.Index(
                fields=["id"],
                condition=Q(state__in=_values(deployment.MOVING)),
                name="deployment_moving",
            ),
        )
        constraints = (
            one_of("deployment_state", "state", sorted(deployment.State)),
            one_of("deployment_explainer_state", "explainer_state", sorted(Explaining)),
            models.CheckConstraint(
                condition=Q(traffic_percentage__lte=100), name="deployment_traffic"
            ),
            models.CheckConstraint(condition=Q(replicas__gte=1), name="deployment_replicas"),
            models.UniqueConstraint(
                fields=["version", "target"],
                condition=Q(state__in=_values(deployment.MOVING)),
                name="deployment_one_moving",
            ),
            models.UniqueConstraint(
                fields=["version", "target"],
                condition=Q(state=deployment.State.HEALTHY.value),
                name="deployment_one_healthy",
            ),
        )

    def __str__(self) -> str:
        return f"{self.entry} on {self.target_id}: {self.state}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"deployment:{self.pk}"

    @property
    def explanations(self) -> str:
        """Whether its answers can be explained, in words."""
        return explaining.words(Explaining(self.explainer_state), self.explainer_error)


class RolloutQuerySet(models.QuerySet["Rollout"]):
    """Reads over rollouts."""

    def unfinished(self) -> Self:
        """Rollouts that a tick has to look at, oldest first."""
        return self.exclude(state__in=_values(rollout.FINISHED)).order_by("id")

    def finished(self) -> Self:
        """Rollouts that are over."""
        return self.filter(state__in=_values(rollout.FINISHED))


class Rollout(models.Model):
    """The ramp of one candidate on one endpoint.

    `steps` and `conditions` hold `rollout.Step` and `analysis.Conditions` as JSON;
    `baseline_phase` is the number of the routing phase that a rollback restores exactly. Every
    transition raises `revision`. `reason` is why it was asked for, `state_reason` why it came
    into its state. `latest` holds the verdicts of the last look, as JSON.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="rollouts")
    candidate = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="rollouts")
    baseline = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="baseline_of_rollouts"
    )
    baseline_phase = models.PositiveIntegerField()
    state = models.CharField(
        max_length=20, choices=choices(rollout.State), default=rollout.State.PENDING.value
    )
    revision = models.PositiveIntegerField(default=0)
    steps = models.JSONField()
    conditions = models.JSONField()
    step_index = models.IntegerField(default=-1)
    step_phase = models.PositiveIntegerField(null=True, blank=True)
    generation = models.PositiveBigIntegerField(null=True, blank=True)
    reason = models.TextField(blank=True)
    state_reason = models.TextField(blank=True)
    latest = models.JSONField(default=list, blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    step_started_at = models.DateTimeField(null=True, blank=True)
    state_entered_at = models.DateTimeField()
    judged_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["endpoint", "-id"], name="rollout_of_endpoint"),
            models.Index(fields=["candidate", "-id"], name="rollout_of_candidate"),
        )
        constraints = (
            one_of("rollout_state", "state", sorted(rollout.State)),
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=~Q(state__in=_values(rollout.FINISHED)),
                name="rollout_one_live",
            ),
            models.CheckConstraint(condition=Q(step_index__gte=-1), name="rollout_step"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=False) ^ ~Q(state__in=_values(rollout.FINISHED)),
                name="rollout_ended",
            ),
        )

    def __str__(self) -> str:
        return f"{self.candidate_id} on {self.endpoint_id}: {self.state}"

    @property
    def key(self) -> str:
        """The object key in the event log, the lease's holder, and the key in the data plane."""
        return f"rollout:{self.pk}"

    def typed_steps(self) -> tuple[Step, ...]:
        """The steps, typed."""
        return msgspec.convert(self.steps, tuple[Step, ...])

    def typed_conditions(self) -> Conditions:
        """The conditions, typed."""
        return msgspec.convert(self.conditions, Conditions)

    def snapshot(self) -> rollout.Snapshot:
        """What the pure core decides on."""
        return rollout.Snapshot(
            state=rollout.State(self.state),
            steps=self.typed_steps(),
            conditions=self.typed_conditions(),
            step_index=self.step_index,
            step_started_at=self.step_started_at or self.state_entered_at,
            state_entered_at=self.state_entered_at,
        )


class Verdict(models.Model):
    """What was known of a metric at a moment; written when it changes and when a step ends."""

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="verdicts")
    step_index = models.IntegerField()
    metric = models.CharField(max_length=20, choices=choices(Metric))
    verdict = models.CharField(max_length=20, choices=choices(Outcome))
    sentence = models.TextField()
    figures = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=["rollout", "-id"], name="verdict_of_rollout"),)
        constraints = (one_of("verdict_outcome", "verdict", sorted(Outcome)),)

    def __str__(self) -> str:
        return self.sentence
