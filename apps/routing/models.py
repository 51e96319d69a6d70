"""Endpoints, who gets what of them, and every state that the routing table has been in."""

from datetime import datetime
from typing import Self

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, OuterRef, Prefetch, Q, Subquery
from django.db.models.functions import Now

from apps.accounts.models import Team
from apps.events.columns import matches, one_of
from apps.registry.models import ModelVersion, RegisteredModel
from contracts.routing import BucketRange

NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,79}$"
ENTRY_PATTERN = r"^[a-z0-9][a-z0-9-]{0,79}-v[0-9]{1,9}$"


class UnitKind(models.TextChoices):
    """What keeps its variant: a user, or nothing beyond the single request."""

    USER = "user"
    REQUEST = "request"


class BackendState(models.TextChoices):
    """Whether a version answers somewhere."""

    READY = "ready"
    GONE = "gone"


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    """Reads over endpoints."""

    def routed(self) -> Self:
        """Endpoints that have a specification, thus a place in the index."""
        return self.exclude(digest="")

    def serving(self, version: ModelVersion) -> Self:
        """Endpoints whose current phase names the version, in whatever role."""
        return self.filter(
            phases__ended_at__isnull=True, phases__variants__contains=[{"version_id": version.pk}]
        ).distinct()

    def described(self) -> Self:
        """With team, model, the phase that runs, the newest generation's number and what that
        one left out of the policy."""
        newest = Generation.objects.filter(endpoint=OuterRef("pk")).order_by("-epoch", "-number")
        return (
            self.select_related("team", "model")
            .prefetch_related(Prefetch("phases", queryset=Phase.objects.current()))
            .annotate(
                generation=Subquery(newest.values("number")[:1]),
                left_out=Subquery(newest.values("left_out")[:1]),
            )
        )


class Endpoint(models.Model):
    """The public name that a client asks for.

    `revision` counts the changes of who gets what, and every such change names the revision it
    was decided on. `lease_holder` ("rollout:…", "experiment:…") alone may make them; empty means
    that people may. `digest` is the newest specification's, empty until the first allocation.
    """

    name = models.CharField(max_length=80, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="endpoints")
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="endpoints")
    unit_kind = models.CharField(
        max_length=20, choices=UnitKind.choices, default=UnitKind.USER.value
    )
    sample_rate = models.FloatField(default=0.01)
    settings = models.JSONField(default=dict, blank=True)
    revision = models.PositiveBigIntegerField(default=0)
    lease_holder = models.CharField(max_length=200, blank=True)
    leased_at = models.DateTimeField(null=True, blank=True)
    salt = models.CharField(max_length=40)
    digest = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = EndpointQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            matches("endpoint_name", "name", NAME_PATTERN),
            models.CheckConstraint(
                condition=Q(sample_rate__gte=0, sample_rate__lte=1), name="endpoint_sample_rate"
            ),
            one_of("endpoint_unit_kind", "unit_kind", UnitKind),
            matches("endpoint_digest", "digest", or_empty=True),
            models.CheckConstraint(
                condition=Q(lease_holder="", leased_at__isnull=True)
                | (~Q(lease_holder="") & Q(leased_at__isnull=False)),
                name="endpoint_lease",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"endpoint:{self.name}"

    @property
    def phase(self) -> "Phase | None":
        """The phase that runs now, if anything was ever allocated."""
        return self.phases.filter(ended_at__isnull=True).first()


class Backend(models.Model):
    """Where a version answers: Triton's name for it and the address of each server.

    `explainer` is Triton's name of what explains the version there; empty = nothing does.
    """

    version = models.OneToOneField(ModelVersion, on_delete=models.PROTECT, related_name="backend")
    entry = models.CharField(max_length=100)
    addresses = models.JSONField()
    explainer = models.CharField(max_length=120, blank=True)
    state = models.CharField(
        max_length=20, choices=BackendState.choices, default=BackendState.READY.value
    )
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-id",)
        constraints = (
            matches("backend_entry", "entry", ENTRY_PATTERN),
            one_of("backend_state", "state", BackendState),
            models.CheckConstraint(
                condition=Q(state=BackendState.GONE.value) | ~Q(addresses=[]),
                name="backend_ready_has_address",
            ),
        )

    def __str__(self) -> str:
        return self.entry


class PhaseQuerySet(models.QuerySet["Phase"]):
    """Reads over phases."""

    def current(self) -> Self:
        """Phases that run now: at most one an endpoint."""
        return self.filter(ended_at__isnull=True)

    def at(self, moment: datetime) -> Self:
        """Phases that ran at `moment`."""
        return self.filter(started_at__lte=moment).filter(
            Q(ended_at__isnull=True) | Q(ended_at__gt=moment)
        )

    def naming(self, version: ModelVersion) -> Self:
        """Phases in which the version has a role."""
        return self.filter(variants__contains=[{"version_id": version.pk}])


class Phase(models.Model):
    """A stretch of time in which variants, ratios and salt of an endpoint did not change.

    `variants`: list of {"key", "role", "version": "flights/2", "version_id", "weight"}, of those
    that combine others also {"ensemble": contracts.policy.Ensemble as JSON}; `ranges`:
    list of [start, stop, key]; `guardrails`: contracts.routing.Guardrail as JSON.
    `restored_from` is the number of the phase whose allocation this one brought back.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="phases")
    number = models.PositiveIntegerField()
    variants = models.JSONField()
    ranges = models.JSONField()
    salt = models.CharField(max_length=40)
    guardrails = models.JSONField(default=list, blank=True)
    rollout_key = models.CharField(max_length=200, blank=True)
    experiment_key = models.CharField(max_length=200, blank=True)
    restored_from = models.PositiveIntegerField(null=True, blank=True)
    actor_key = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = PhaseQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            GinIndex(fields=["variants"], name="phase_variants", opclasses=["jsonb_path_ops"]),
            models.Index(fields=["endpoint", "-started_at"], name="phase_started"),
            models.Index(
                fields=["rollout_key"], condition=~Q(rollout_key=""), name="phase_rollout"
            ),
        )
        constraints = (
            models.UniqueConstraint(fields=["endpoint", "number"], name="phase_number_once"),
            models.UniqueConstraint(
                fields=["endpoint"], condition=Q(ended_at__isnull=True), name="phase_one_current"
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="phase_number"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")),
                name="phase_ends_after_start",
            ),
        )

    def __str__(self) -> str:
        return f"{self.endpoint_id} phase {self.number}"

    def allocation(self) -> tuple[BucketRange, ...]:
        """The stored ranges, typed."""
        return tuple(BucketRange(*item) for item in self.ranges)

    def weights(self) -> dict[str, int]:
        """Buckets by variant key, those with none included."""
        return {variant["key"]: variant["weight"] for variant in self.variants}


class Spec(models.Model):
    """The bytes of one EndpointSpec, named by their SHA-256. Rows are only ever inserted."""

    digest = models.CharField(max_length=64, primary_key=True)
    body = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (matches("spec_digest", "digest"),)

    def __str__(self) -> str:
        return self.digest[:12]


class Generation(models.Model):
    """One change of the routing table; rows are only ever inserted.

    The table at generation N names, for each endpoint, its newest row up to N. `left_out` is what
    of the endpoint's policy the specification is without: list of {"path", "detail"}.
    """

    epoch = models.PositiveIntegerField()
    number = models.PositiveBigIntegerField()
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="generations")
    phase = models.ForeignKey(Phase, on_delete=models.PROTECT, related_name="generations")
    spec = models.ForeignKey(
        Spec, on_delete=models.PROTECT, related_name="generations", db_column="digest"
    )
    issued_at = models.DateTimeField()
    actor_key = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    left_out = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["endpoint", "-epoch", "-number"], name="generation_newest"),
            models.Index(fields=["endpoint", "-issued_at"], name="generation_issued"),
        )
        constraints = (models.UniqueConstraint(fields=["epoch", "number"], name="generation_once"),)

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"

    @property
    def digest(self) -> str:
        """The specification that this change put in place."""
        return self.spec_id


class Position(models.Model):
    """Where the table stands: one row, locked by whoever adds a generation.

    The lock lasts until the commit, so numbers have no gaps and appear in order.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    epoch = models.PositiveIntegerField(default=1)
    generation = models.PositiveBigIntegerField(default=0)
    issued_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.CheckConstraint(condition=Q(id=1), name="position_single"),
            models.CheckConstraint(condition=Q(epoch__gte=1), name="position_epoch"),
        )

    def __str__(self) -> str:
        return f"{self.epoch}.{self.generation}"


class ClientsPosition(models.Model):
    """How often the clients of the data plane have changed, and what they were last: one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    revision = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="clients_position_single"),)

    def __str__(self) -> str:
        return str(self.revision)


class GatewayState(models.TextChoices):
    """What the control plane thinks of a gateway."""

    LIVE = "live"
    LAGGING = "lagging"
    GONE = "gone"


class GatewayReport(models.Model):
    """The last that a gateway said of itself; `seen_at` is by the control plane's own clock.

    `breakers`, `replicas_out` and `caches_off` are as in contracts.routing.GatewayReport.
    """

    gateway = models.CharField(max_length=100, primary_key=True)
    state = models.CharField(
        max_length=20, choices=GatewayState.choices, default=GatewayState.LIVE.value
    )
    boot = models.CharField(max_length=100)
    url = models.CharField(max_length=300, blank=True)
    epoch = models.PositiveIntegerField()
    generation = models.PositiveBigIntegerField()
    source = models.CharField(max_length=20)
    overrides = models.JSONField(default=list, blank=True)
    spool_bytes = models.PositiveBigIntegerField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)
    rejected_index = models.TextField(blank=True)
    breakers = models.JSONField(default=dict, blank=True)
    replicas_out = models.JSONField(default=list, blank=True)
    caches_off = models.JSONField(db_default={}, default=dict, blank=True)
    swapped_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    reported_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("gateway",)
        constraints = (one_of("gateway_state", "state", GatewayState),)

    def __str__(self) -> str:
        return self.gateway

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"gateway:{self.gateway}"


class Override(models.Model):
    """A gateway withdrew a candidate by itself; what was served = generation + overrides."""

    gateway = models.CharField(max_length=100)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="overrides")
    rollout_key = models.CharField(max_length=200)
    variant = models.CharField(max_length=80)
    evidence = models.JSONField()
    withdrawn_at = models.DateTimeField()
    reported_at = models.DateTimeField(db_default=Now())
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["gateway", "rollout_key", "variant"], name="override_once"
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True) | ~Q(acknowledged_by=""),
                name="override_acknowledged_by",
            ),
        )

    def __str__(self) -> str:
        return f"{self.gateway} without {self.variant}"

    @property
    def override_key(self) -> str:
        """How specifications name it: "(rollout):(variant)"."""
        return f"{self.rollout_key}:{self.variant}"
