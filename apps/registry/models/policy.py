"""What teams and the organisation ask of a promotion: ladders, policies, freeze windows.

Each row of a ladder or a policy is one edition: the newest is in force, the others are history.
"""

from datetime import datetime
from typing import Self

import msgspec
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Team
from apps.events.columns import choices, matches
from apps.registry.freezes import Window, frozen_until, zone_of
from apps.registry.models.catalogue import Tier
from apps.registry.policy import Policy
from apps.registry.promotion import STAGE_PATTERN, Allowance, Ladder, Rung


class StageLadder(models.Model):
    """An edition of the stages of a team, or of all that have none (`team` is null then).

    `stages` lists {key, title, allowance}, lowest first; empty takes the team's own ladder away.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="ladders")
    number = models.PositiveIntegerField()
    stages = models.JSONField()
    reason = models.TextField(blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["team", "number"], name="ladder_number_once", nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return f"stages of {self.team or 'all'}, edition {self.number}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"ladder:{self.team.key if self.team else '*'}"

    def ladder(self) -> Ladder | None:
        """The typed ladder; None when this edition took it away."""
        rungs = [Rung(one["key"], one["title"], Allowance(one["allowance"])) for one in self.stages]
        return Ladder(tuple(rungs)) if rungs else None


class PromotionPolicyQuerySet(models.QuerySet["PromotionPolicy"]):
    """Reads over policies."""

    def newest(self) -> Self:
        """The newest edition of each scope, stage and tier."""
        return self.order_by("team_id", "stage", "tier", "-number").distinct(
            "team_id", "stage", "tier"
        )


class PromotionPolicy(models.Model):
    """An edition of what promotion into a stage needs, of a team's models or of all.

    `tier` empty is for every tier that has none of its own. `rules` is an
    `apps.registry.policy.Policy`; null takes the policy away, so that the next wider one holds.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="policies")
    stage = models.CharField(max_length=20)
    tier = models.CharField(max_length=20, choices=choices(Tier), blank=True)
    number = models.PositiveIntegerField()
    rules = models.JSONField(null=True)
    reason = models.TextField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    objects = PromotionPolicyQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            matches("policy_stage", "stage", STAGE_PATTERN),
            models.CheckConstraint(
                condition=Q(tier="") | Q(tier__in=[tier.value for tier in Tier]),
                name="policy_tier",
            ),
            models.UniqueConstraint(
                fields=["team", "stage", "tier", "number"],
                name="policy_number_once",
                nulls_distinct=False,
            ),
        )

    def __str__(self) -> str:
        return f"{self.key}, edition {self.number}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        team = self.team.key if self.team else "*"
        return f"policy:{team}/{self.stage}/{self.tier or '*'}"

    def policy(self) -> Policy | None:
        """The typed rules; None when this edition took them away."""
        return None if self.rules is None else msgspec.convert(self.rules, Policy)


class FreezeWindowQuerySet(models.QuerySet["FreezeWindow"]):
    """Reads over freeze windows."""

    def binding(self, *, team: Team, stage: str, tier: str) -> Self:
        """Windows that hold for such a promotion, whenever they are."""
        return self.filter(
            Q(team=team) | Q(team__isnull=True),
            Q(stage="") | Q(stage=stage),
            Q(tier="") | Q(tier=tier),
            cancelled_at__isnull=True,
        )


class FreezeWindow(models.Model):
    """When nothing is approved: of a team's models or of all, for one stage or tier or each.

    `window` is an `apps.registry.freezes.Window` on the clock of `zone`. A window that does not
    hold any more is cancelled, with who and why, and stays.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="freezes")
    stage = models.CharField(max_length=20, blank=True)
    tier = models.CharField(max_length=20, choices=choices(Tier), blank=True)
    title = models.CharField(max_length=200)
    window = models.JSONField()
    zone = models.CharField(max_length=60)
    reason = models.TextField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    cancelled_by = models.CharField(max_length=200, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancel_reason = models.TextField(blank=True)

    objects = FreezeWindowQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            matches("freeze_stage", "stage", STAGE_PATTERN, or_empty=True),
            models.CheckConstraint(
                condition=Q(tier="") | Q(tier__in=[tier.value for tier in Tier]),
                name="freeze_tier",
            ),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"freeze:{self.pk}"

    def typed(self) -> Window:
        """The window."""
        found: Window = msgspec.convert(self.window, Window)
        return found

    def until(self, at: datetime) -> datetime | None:
        """When the freeze that holds at `at` ends; None when none does."""
        return frozen_until(self.typed(), zone_of(self.zone), at)


class CheckHook(models.Model):
    """A check that somebody else's service makes: policies name it "hook:<name>".

    `secret` signs what is sent, sealed (`apps.notices.signing`). The service answers within
    `timeout_s`, or says 202 and calls back within `callback_h` hours. `attempts` tries at most.
    """

    name = models.SlugField(max_length=60, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="check_hooks")
    title = models.CharField(max_length=120)
    url = models.CharField(max_length=2_000)
    secret = models.BinaryField()
    timeout_s = models.FloatField(default=10.0)
    attempts = models.PositiveSmallIntegerField(default=3)
    callback_h = models.FloatField(default=24.0)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    disabled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=Q(timeout_s__gt=0, timeout_s__lte=60), name="check_hook_timeout"
            ),
            models.CheckConstraint(
                condition=Q(attempts__gte=1, attempts__lte=10), name="check_hook_attempts"
            ),
            models.CheckConstraint(
                condition=Q(callback_h__gt=0, callback_h__lte=168), name="check_hook_callback"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"check-hook:{self.name}"

    @property
    def check_name(self) -> str:
        """What policies call it."""
        return f"hook:{self.name}"
