"""Links to registries that stay in MLflow, what is known of them, and where the two differ."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Team
from apps.events.columns import choices, one_of
from apps.registry.models import ModelVersion, RegisteredModel, Tier


class DifferenceKind(StrEnum):
    """What was done in MLflow behind our back."""

    ALIAS_MOVED = "alias_moved"
    ARTIFACT_CHANGED = "artifact_changed"
    MODEL_DELETED = "model_deleted"
    RENAMED = "renamed"
    STAGE_MOVED = "stage_moved"
    TAGS_CHANGED = "tags_changed"
    VERSION_DELETED = "version_deleted"


class DifferenceState(StrEnum):
    """Where a difference stands; a resolved one went away without us."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REVERTED = "reverted"
    RESOLVED = "resolved"


DIFFERENCE_STATES = choices(DifferenceState)
DIFFERENCE_KINDS = choices(DifferenceKind)
TIERS = choices(Tier)


class MirrorQuerySet(models.QuerySet["Mirror"]):
    """Reads over mirrors."""

    def to_sweep(self, *, now: datetime) -> Self:
        """Those whose time has come and that no living worker sweeps."""
        free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=now)
        return self.filter(free, paused_at__isnull=True, due_at__lte=now)

    def to_write(self, *, now: datetime) -> Self:
        """Those that owe MLflow something, are not held back, and that no living worker writes."""
        free = Q(write_lease_expires_at__isnull=True) | Q(write_lease_expires_at__lte=now)
        owing = MirroredModel.objects.filter(mirror=models.OuterRef("pk"), unwritten_at__lte=now)
        rows = self.filter(free, paused_at__isnull=True, writes_back=True, write_due_at__lte=now)
        return rows.filter(models.Exists(owing))


class Mirror(models.Model):
    """A team's link to a registry of MLflow.

    `credentials` and `hint_secret` are sealed (`apps.notices.signing`); `pattern` is fnmatch's, on
    the names of models, empty for all. A sweep is under way while `sweep_started_at` is set, and
    goes on at `page_token`; `sweep` is its number, `is_full` whether it looks at everything. A
    worker holds the mirror until `lease_expires_at`; `attempts` is its fencing number. Writing
    back has a lease, a fencing number and a back-off of its own.
    """

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="mirrors")
    title = models.CharField(max_length=100)
    tracking_uri = models.CharField(max_length=2000)
    credentials = models.BinaryField(null=True)
    pattern = models.CharField(max_length=200, blank=True)
    tier = models.CharField(max_length=20, choices=TIERS, default=Tier.STANDARD.value)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="mirrors"
    )
    writes_back = models.BooleanField(default=True)
    hint_secret = models.BinaryField()
    created_by_key = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    paused_at = models.DateTimeField(null=True)
    paused_reason = models.TextField(blank=True)

    due_at = models.DateTimeField(db_default=Now())
    hinted_at = models.DateTimeField(null=True)
    sweep = models.PositiveBigIntegerField(default=0)
    is_full = models.BooleanField(default=True)
    sweep_started_at = models.DateTimeField(null=True)
    page_token = models.TextField(blank=True)
    models_seen = models.PositiveIntegerField(default=0)
    attempts = models.PositiveBigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    swept_at = models.DateTimeField(null=True)
    fully_swept_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)

    write_due_at = models.DateTimeField(db_default=Now())
    write_attempts = models.PositiveBigIntegerField(default=0)
    write_lease_expires_at = models.DateTimeField(null=True)
    write_failures = models.PositiveIntegerField(default=0)
    write_error = models.CharField(max_length=500, blank=True)
    written_at = models.DateTimeField(null=True)

    objects = MirrorQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            one_of("mirror_tier", "tier", Tier),
            models.UniqueConstraint(
                fields=["team", "tracking_uri", "pattern"], name="mirror_once_per_team"
            ),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"mirror:{self.pk}"


class MirroredModel(models.Model):
    """A registered model of MLflow, as it was when both sides last agreed, and ours beside it.

    `aliases` maps alias to version number (as text) as last agreed; `accepted_aliases` what MLflow
    has otherwise and somebody let stand ("" for none). `created_ms` and `updated_ms` are MLflow's.
    `unwritten_at` is since when MLflow owes to hear something, `write_seq` counts those occasions.
    """

    mirror = models.ForeignKey(Mirror, on_delete=models.CASCADE, related_name="mirrored")
    name = models.CharField(max_length=500)
    model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, null=True, related_name="mirrored"
    )
    created_ms = models.BigIntegerField(default=0)
    updated_ms = models.BigIntegerField(default=0)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=dict, blank=True)
    aliases = models.JSONField(default=dict, blank=True)
    accepted_aliases = models.JSONField(default=dict, blank=True)
    seen_sweep = models.PositiveBigIntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True)
    gone_at = models.DateTimeField(null=True)
    unwritten_at = models.DateTimeField(null=True)
    write_seq = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["mirror", "name"], name="mirrored_model_once"),
        )
        indexes = (
            models.Index(
                fields=["mirror", "unwritten_at"],
                condition=Q(unwritten_at__isnull=False),
                name="mirrored_model_unwritten",
            ),
        )

    def __str__(self) -> str:
        return self.name


class MirroredVersion(models.Model):
    """A version of MLflow's, as it was when both sides last agreed, and ours beside it.

    `written` are the tags that we wrote there; `digest` is of the content there when it was last
    read (`verified_at`), empty when it never was.
    """

    mirrored = models.ForeignKey(MirroredModel, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="mirrored"
    )
    source = models.TextField(blank=True)
    run_id = models.CharField(max_length=64, blank=True)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=dict, blank=True)
    stage = models.CharField(max_length=40, blank=True)
    author = models.CharField(max_length=256, blank=True)
    created_ms = models.BigIntegerField(default=0)
    seen_sweep = models.PositiveBigIntegerField(default=0)
    problem = models.CharField(max_length=500, blank=True)
    gone_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=64, blank=True)
    verified_at = models.DateTimeField(null=True)
    written = models.JSONField(default=dict, blank=True)
    unwritten_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["mirrored", "number"], name="mirrored_version_once"),
        )
        indexes = (
            models.Index(
                fields=["mirrored"],
                condition=Q(unwritten_at__isnull=False),
                name="mirrored_version_unwritten",
            ),
        )

    def __str__(self) -> str:
        return f"{self.mirrored_id}/{self.number}"


class DifferenceQuerySet(models.QuerySet["Difference"]):
    """Reads over differences."""

    def open(self) -> Self:
        """Those that nobody has dealt with."""
        return self.filter(state=DifferenceState.OPEN.value)


class Difference(models.Model):
    """Something that was changed in MLflow behind our back: what it was, what it is, who did it.

    `subject` is the alias or the number of the version, empty for the model itself. `was` and
    `found` are small mappings of words to values. `made_by` is empty where MLflow does not know.
    """

    mirrored = models.ForeignKey(
        MirroredModel, on_delete=models.CASCADE, related_name="differences"
    )
    mirrored_version = models.ForeignKey(
        MirroredVersion, on_delete=models.CASCADE, null=True, related_name="differences"
    )
    kind = models.CharField(max_length=20, choices=DIFFERENCE_KINDS)
    subject = models.CharField(max_length=300, blank=True)
    was = models.JSONField(default=dict)
    found = models.JSONField(default=dict)
    made_by = models.CharField(max_length=256, blank=True)
    state = models.CharField(
        max_length=10, choices=DIFFERENCE_STATES, default=DifferenceState.OPEN.value
    )
    found_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by_key = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)

    objects = DifferenceQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = (
            one_of("difference_kind", "kind", DifferenceKind),
            one_of("difference_state", "state", DifferenceState),
            models.UniqueConstraint(
                fields=["mirrored", "kind", "subject"],
                condition=Q(state="open"),
                name="difference_open_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
