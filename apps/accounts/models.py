"""People, teams, service accounts and their tokens."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.access import HUMAN_ROLES, SERVICE_ROLES, Role
from apps.events.columns import choices, matches, one_of

TIER_PATTERN = r"^[a-z0-9][a-z0-9-]{0,39}$"
ROLE_CHOICES = choices(Role)
# In the order of the enum: a set's order would make migrations of its own.
HUMAN_ROLE_VALUES = [role.value for role in Role if role in HUMAN_ROLES]
SERVICE_ROLE_VALUES = [role.value for role in Role if role in SERVICE_ROLES]


class Team(models.Model):
    """Owns models and endpoints."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("key",)

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person."""

    class Meta(AbstractUser.Meta):
        swappable = "AUTH_USER_MODEL"

    @property
    def key(self) -> str:
        """The actor key in the event log."""
        return f"user:{self.username}"


class Membership(models.Model):
    """A person's role in a team; a person may hold several."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "team", "role"], name="membership_once"),
            one_of("membership_human_role", "role", HUMAN_ROLE_VALUES),
        )

    def __str__(self) -> str:
        return f"{self.user} is {self.role} in {self.team}"


class ServiceAccount(models.Model):
    """A program that acts for a team, with a human who answers for it.

    What follows binds clients of the data plane alone: `endpoints` empty means all,
    `requests_per_second` 0 no limit, `burst` 0 one second's worth; `tier` and `budget` (dollars
    per 1,000 predictions, 0 = any) are what routing rules look at. `orphaned_at` is when the human
    who answers for it left: somebody else must take it over.
    """

    name = models.SlugField(max_length=80, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="service_accounts")
    role = models.CharField(max_length=20, choices=ROLE_CHOICES)
    responsible = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="answers_for"
    )
    endpoints = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    requests_per_second = models.FloatField(default=0)
    burst = models.PositiveIntegerField(default=0)
    tier = models.CharField(max_length=40, blank=True)
    budget = models.FloatField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    disabled_at = models.DateTimeField(null=True, blank=True)
    orphaned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            one_of("service_account_role", "role", SERVICE_ROLE_VALUES),
            models.CheckConstraint(
                condition=Q(requests_per_second__gte=0), name="service_account_rate"
            ),
            models.CheckConstraint(
                condition=Q(burst__gte=0) & (Q(burst=0) | Q(requests_per_second__gt=0)),
                name="service_account_burst",
            ),
            models.CheckConstraint(condition=Q(budget__gte=0), name="service_account_budget"),
            matches("service_account_tier", "tier", TIER_PATTERN, or_empty=True),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """The actor key in the event log."""
        return f"service:{self.name}"

    @property
    def refused_from(self) -> datetime | None:
        """When its tokens stop working because nobody answers for it; None when they do not."""
        if self.orphaned_at is None or self.role == Role.CLIENT:
            return None
        return self.orphaned_at + orphan_grace()


def orphan_grace() -> timedelta:
    """For how long a program goes on after its human left."""
    return timedelta(days=settings.CONFIG.orphan_grace_days)


class TokenQuerySet(models.QuerySet["Token"]):
    """Reads over tokens."""

    def live(self, *, now: datetime) -> Self:
        """Tokens that work: not revoked, not expired, of owners that may act.

        A program whose human left goes on for ORPHAN_GRACE_DAYS; clients of the data plane go on,
        since refusing them would punish those who ask for predictions.
        """
        return self.filter(
            Q(service_account__isnull=True) | Q(service_account__disabled_at__isnull=True),
            Q(service_account__orphaned_at__isnull=True)
            | Q(service_account__orphaned_at__gt=now - orphan_grace())
            | Q(service_account__role=Role.CLIENT.value),
            Q(user__isnull=True) | Q(user__is_active=True),
            revoked_at__isnull=True,
            expires_at__gt=now,
        )


class Token(models.Model):
    """A bearer token; only its digest is kept, and its text is shown once."""

    service_account = models.ForeignKey(
        ServiceAccount, on_delete=models.CASCADE, null=True, related_name="tokens"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="tokens"
    )
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=40), null=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(service_account__isnull=True) ^ Q(user__isnull=True),
                name="token_one_owner",
            ),
        )

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"token:{self.pk}"


class Session(AbstractBaseSession):
    """A browser in which somebody signed in: the row of a session of `apps.accounts.sessions`.

    `created_at` is when its key was made, which is at sign-in; `seen_at` is about a minute coarse.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="sessions"
    )
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user or 'nobody'}, {self.created_at:%Y-%m-%d %H:%M}"


class IdempotencyKey(models.Model):
    """A POST that a client may safely send again: who sent it, where to, and what came of it.

    `status` is null while the first request runs. Bodies of answers that hold a secret are not
    kept. Rows live for a day.
    """

    principal_key = models.CharField(max_length=200)
    route = models.CharField(max_length=300)
    key = models.CharField(max_length=200)
    body_digest = models.CharField(max_length=64)
    claimed_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    content_type = models.CharField(max_length=100, blank=True)
    body = models.BinaryField(null=True)
    location = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["principal_key", "route", "key"], name="idempotency_key_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.principal_key} {self.route} {self.key}"
