"""Promotion requests with their signatures and comments, and the history of stages."""

from datetime import datetime
from typing import Self

import msgspec
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from apps.events.columns import UUID7, choices, matches, one_of
from apps.registry.digests import digest_of, signed_digest_of
from apps.registry.models.catalogue import ModelVersion
from apps.registry.policy import Policy
from apps.registry.promotion import OFF_LADDER, STAGE_PATTERN, Allowance, RequestState, Stage

NOT_TARGETS = sorted({Stage.DEV.value, *OFF_LADDER})


class PromotionRequestQuerySet(models.QuerySet["PromotionRequest"]):
    """Reads over promotion requests."""

    def open(self, *, now: datetime) -> Self:
        """Requests that wait for a decision and have not expired."""
        return self.filter(state=RequestState.REQUESTED.value, expires_at__gt=now)


class PromotionRequest(models.Model):
    """Somebody asks that a version reach a stage; others decide.

    `digest` is the content asked for, `evidence` what was known of it, `terms` the policy in force
    then: {stage, allowance, source, rules}. The evidence is frozen once every check has finished
    (`frozen_at`); a check that is made again freezes it anew and voids the approvals before.
    What was signed cannot be changed once the request is closed, a trigger sees to it.
    `requester` and `decider` are the humans behind `requested_by_key` and `decided_by_key`;
    `decided_by_key` is whose approval completed it. `glass_…` tell who broke the glass of a freeze.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="requests")
    target_stage = models.CharField(max_length=20)
    state = models.CharField(
        max_length=20, choices=choices(RequestState), default=RequestState.REQUESTED.value
    )
    digest = models.CharField(max_length=64)
    evidence = models.JSONField()
    evidence_digest = models.CharField(max_length=64)
    terms = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    terms_digest = models.CharField(max_length=64, blank=True, db_default="")
    frozen_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)
    requested_by_key = models.CharField(max_length=200)
    requester = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    glass_broken_by = models.CharField(max_length=200, blank=True, db_default="")
    glass_reason = models.TextField(blank=True, db_default="")
    glass_broken_at = models.DateTimeField(null=True, blank=True)
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
            models.Index(fields=["requester", "-id"], name="promotion_asked"),
            models.Index(fields=["-id", "created_at"], name="promotion_age"),
        )
        constraints = (
            one_of("promotion_state", "state", RequestState),
            matches("promotion_stage", "target_stage", STAGE_PATTERN),
            models.CheckConstraint(
                condition=~Q(target_stage__in=NOT_TARGETS), name="promotion_target"
            ),
            matches("promotion_digest", "digest"),
            matches("promotion_terms_digest", "terms_digest", or_empty=True),
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
            models.CheckConstraint(
                condition=Q(glass_broken_at__isnull=True)
                | ~(Q(glass_broken_by="") | Q(glass_reason="")),
                name="promotion_glass",
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} to {self.target_stage}: {self.state}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"promotion:{self.pk}"

    def policy(self) -> Policy:
        """The rules that it was asked under."""
        return msgspec.convert(self.terms.get("rules", {}), Policy)

    def signed_digest(self) -> str:
        """SHA-256 hex of what an approval signs: content, frozen evidence and terms."""
        return signed_digest_of(self.digest, self.evidence_digest, self.terms_digest)

    def is_intact(self) -> bool:
        """Whether evidence and terms are still those whose digests were signed."""
        terms = digest_of(self.terms) if self.terms else ""
        return (digest_of(self.evidence), terms) == (self.evidence_digest, self.terms_digest)


class Approval(models.Model):
    """One signature. `human` signed `digest`: content, evidence and terms as they were then.

    `groups` are the policy's that they were in. One that stood for evidence which was made anew
    is void.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    request = models.ForeignKey(
        PromotionRequest, on_delete=models.PROTECT, related_name="approvals"
    )
    human = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    groups = models.JSONField(default=list, blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    voided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            matches("approval_digest", "digest"),
            models.CheckConstraint(
                condition=Q(human__startswith="user:"), name="approval_by_a_person"
            ),
            models.UniqueConstraint(
                fields=["request", "human"],
                condition=Q(voided_at__isnull=True),
                name="approval_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.human} signed {self.request_id}"


class Comment(models.Model):
    """One contribution to the talk about a request. It can be edited, and what it was is kept."""

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    request = models.ForeignKey(PromotionRequest, on_delete=models.PROTECT, related_name="comments")
    author_key = models.CharField(max_length=200)
    author = models.CharField(max_length=200)
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    edited_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=["request", "id"], name="comment_of_request"),)
        constraints = (
            models.CheckConstraint(condition=~Q(body=""), name="comment_says_something"),
        )

    def __str__(self) -> str:
        return f"{self.author_key}: {self.body[:40]}"


class CommentEdition(models.Model):
    """What a comment said before it was edited."""

    comment = models.ForeignKey(Comment, on_delete=models.PROTECT, related_name="editions")
    body = models.TextField()
    written_at = models.DateTimeField()
    replaced_at = models.DateTimeField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.comment_id}, until {self.replaced_at:%F %T}"


class StageTransitionQuerySet(models.QuerySet["StageTransition"]):
    """Reads over the history of stages."""

    def into_the_top(self) -> Self:
        """Arrivals in the stage whose versions may get all traffic."""
        return self.filter(to_allowance=Allowance.ALL.value).exclude(
            to_stage=Stage.DEPRECATED.value
        )

    def standing(self, at: datetime) -> Self:
        """Those that no later one of the same version had replaced by `at`."""
        later = StageTransition.objects.filter(version=OuterRef("version"), occurred_at__lte=at)
        behind = Q(occurred_at__gt=OuterRef("occurred_at")) | Q(
            occurred_at=OuterRef("occurred_at"), id__gt=OuterRef("id")
        )
        return self.filter(~Exists(later.filter(behind)), occurred_at__lte=at)


class StageTransition(models.Model):
    """One change of a version's stage; rows are only ever inserted, a trigger sees to it.

    `to_allowance` is the traffic that the stage allowed by the ladder of that time; `broke_glass`
    says that it came in spite of a freeze.
    """

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="transitions")
    from_stage = models.CharField(max_length=20)
    to_stage = models.CharField(max_length=20)
    to_allowance = models.CharField(
        max_length=20, choices=choices(Allowance), db_default=Allowance.NONE.value
    )
    digest = models.CharField(max_length=64)
    request = models.ForeignKey(
        PromotionRequest, on_delete=models.PROTECT, null=True, related_name="transitions"
    )
    broke_glass = models.BooleanField(db_default=False)
    actor_key = models.CharField(max_length=200)
    responsible_key = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    occurred_at = models.DateTimeField()

    objects = StageTransitionQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["version", "-occurred_at"], name="transition_of_version"),
            models.Index(
                fields=["-occurred_at", "-id"],
                condition=Q(to_allowance=Allowance.ALL.value) & ~Q(to_stage=Stage.DEPRECATED.value),
                name="transition_to_the_top",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(from_stage__regex=STAGE_PATTERN) & Q(to_stage__regex=STAGE_PATTERN),
                name="transition_stages",
            ),
            one_of("transition_allowance", "to_allowance", Allowance),
        )

    def __str__(self) -> str:
        return f"{self.version_id}: {self.from_stage} -> {self.to_stage}"
