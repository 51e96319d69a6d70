"""Addresses that hear of a team's events, what was sent to them, and mail to people."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Team
from apps.events.columns import UUID7, choices, one_of


class DeliveryState(StrEnum):
    """Where a message stands; a dead one was given up and may be sent again by hand."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class NoticeKind(StrEnum):
    """What people are told of by mail."""

    PROMOTION_WAITING = "promotion_waiting"
    PROMOTION_DECIDED = "promotion_decided"
    ROLLED_BACK = "rolled_back"
    DEPLOYMENT_FAILED = "deployment_failed"
    WEBHOOK_DISABLED = "webhook_disabled"


class Mode(StrEnum):
    """When a person wants to be told."""

    IMMEDIATELY = "immediately"
    DAILY = "daily"
    NEVER = "never"


class MailState(StrEnum):
    """Where a mail stands; a failed one was given up."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


DELIVERY_STATES = choices(DeliveryState)
NOTICE_MODES = choices(Mode)


class Webhook(models.Model):
    """An address of a team's own that hears of its events.

    `verbs` and `objects` are fnmatch patterns; empty means all. Secrets are sealed
    (`apps.notices.signing`). The older one signs beside the newer until `overlap_ends_at`.
    `failures` in a row hold the whole address until `resumes_at`.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    verbs = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    objects_heard = ArrayField(models.CharField(max_length=300), default=list, blank=True)
    secret = models.BinaryField()
    older_secret = models.BinaryField(null=True)
    overlap_ends_at = models.DateTimeField(null=True)
    created_by_key = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    disabled_at = models.DateTimeField(null=True)
    disabled_reason = models.TextField(blank=True)
    failures = models.PositiveIntegerField(default=0)
    first_failed_at = models.DateTimeField(null=True)
    resumes_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.url

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"webhook:{self.pk}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Reads over deliveries."""

    def due(self, *, now: datetime) -> Self:
        """Messages to send now, to addresses that are neither disabled nor held."""
        return self.filter(
            Q(webhook__resumes_at__isnull=True) | Q(webhook__resumes_at__lte=now),
            state=DeliveryState.PENDING.value,
            due_at__lte=now,
            webhook__disabled_at__isnull=True,
        )


class Delivery(models.Model):
    """One message to one address: the very bytes that are signed, and how far it has come.

    `tries` counts since it was last opened (made, or replayed); every try is an `Attempt`. The
    receiver knows a message by its id, which stays the same however often it is sent.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_id = models.UUIDField(null=True)
    verb = models.CharField(max_length=100)
    object_key = models.CharField(max_length=300, blank=True)
    body = models.TextField()
    state = models.CharField(
        max_length=10, choices=DELIVERY_STATES, default=DeliveryState.PENDING.value
    )
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=["webhook", "event_id"], name="delivery_once"),
            one_of("delivery_state", "state", DeliveryState),
        )
        indexes = (
            models.Index(fields=["webhook", "-id"], name="delivery_of_webhook"),
            models.Index(
                fields=["webhook", "id"], name="delivery_pending", condition=Q(state="pending")
            ),
            models.Index(fields=["created_at"], name="delivery_age"),
        )

    def __str__(self) -> str:
        return self.message_id

    @property
    def message_id(self) -> str:
        """What the receiver knows it by."""
        return f"msg_{self.pk.hex}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"delivery:{self.pk}"


class Attempt(models.Model):
    """One try: what the address answered (`excerpt` is the start of it), or why nothing came."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    latency_s = models.FloatField(null=True)
    excerpt = models.TextField(blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.status or self.error}"


class NoticePreference(models.Model):
    """When a person wants to be told of one kind of thing; without a row: immediately."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_preferences"
    )
    kind = models.CharField(max_length=30, choices=choices(NoticeKind))
    mode = models.CharField(max_length=20, choices=NOTICE_MODES)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "kind"], name="notice_preference_once"),
            one_of("notice_preference_kind", "kind", NoticeKind),
            one_of("notice_preference_mode", "mode", Mode),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.mode}"


class Mail(models.Model):
    """One thing to tell one person, at once or in the day's digest (`in_digest`).

    `path` is the page that it is about, under WEB_URL.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_mails"
    )
    kind = models.CharField(max_length=30, choices=choices(NoticeKind))
    event_id = models.UUIDField()
    subject = models.CharField(max_length=200)
    sentence = models.TextField()
    path = models.CharField(max_length=400)
    in_digest = models.BooleanField(default=False)
    state = models.CharField(
        max_length=10, choices=choices(MailState), default=MailState.WAITING.value
    )
    tries = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    occurred_at = models.DateTimeField()
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=["user", "event_id"], name="mail_once"),
            one_of("mail_kind", "kind", NoticeKind),
            one_of("mail_state", "state", MailState),
        )
        indexes = (
            models.Index(fields=["due_at"], name="mail_waiting", condition=Q(state="waiting")),
        )

    def __str__(self) -> str:
        return self.subject
