"""Models, their versions, and the aliases that point at them."""

from enum import StrEnum
from typing import Self

import msgspec
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Team
from apps.events.columns import choices, matches, one_of
from apps.registry.digests import digest_of, signed_digest_of
from apps.registry.naming import (
    NAME_LENGTH,
    NAME_PATTERN,
    endpoint_name,
    entry_name,
)
from apps.registry.promotion import (
    OFF_LADDER,
    STAGE_PATTERN,
    UNAPPROVED_STAGES,
    Allowance,
    Stage,
)
from contracts.declaration import Declaration
from contracts.schema import Labelling, ModelSchema, OutputSpec

SEMANTIC_PATTERN = r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$"


class Tier(StrEnum):
    """How much depends on a model; limits and waiting times follow it."""

    CRITICAL = "critical"
    STANDARD = "standard"


class VersionStatus(StrEnum):
    """How far the taking over of a version's artifact has come; the words are MLflow's."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class LiveModels(models.Manager["RegisteredModel"]):
    """Models that were not deleted."""

    def get_queryset(self) -> models.QuerySet["RegisteredModel"]:
        """Without tombstones."""
        return super().get_queryset().filter(deleted_at__isnull=True)


class RegisteredModel(models.Model):
    """A model that a team answers for; its versions are numbered from 1.

    A deleted one stays as a tombstone that only `with_deleted` shows; `name_free` says that its
    name may be taken again. `former_names` are those that it had before it was renamed.
    """

    name = models.CharField(max_length=NAME_LENGTH)
    former_names = ArrayField(
        models.CharField(max_length=NAME_LENGTH), default=list, blank=True, db_default=[]
    )
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="models")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="owned_models"
    )
    tier = models.CharField(max_length=20, choices=choices(Tier), default=Tier.STANDARD.value)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=dict, blank=True)
    last_number = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True, blank=True)
    name_free = models.BooleanField(default=False, db_default=False)

    objects = LiveModels()
    with_deleted = models.Manager["RegisteredModel"]()

    class Meta:
        ordering = ("name",)
        indexes = (
            GinIndex(fields=["tags"], name="model_tags"),
            GinIndex(fields=["name"], opclasses=["gin_trgm_ops"], name="model_name_parts"),
            models.Index(fields=["-updated_at", "name"], name="model_newest_change"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["name"], condition=Q(name_free=False), name="model_name_once"
            ),
            models.CheckConstraint(
                condition=Q(name_free=False) | Q(deleted_at__isnull=False),
                name="model_name_freed_by_deletion",
            ),
            matches("model_name", "name", NAME_PATTERN),
            one_of("model_tier", "tier", Tier),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"model:{self.name}"

    @property
    def keys(self) -> list[str]:
        """Its keys in the event log: of its name, and of those that it had before."""
        return [f"model:{name}" for name in (self.name, *self.former_names)]

    @property
    def endpoint_name(self) -> str:
        """What its endpoint is called unless somebody says otherwise."""
        return endpoint_name(self.name)


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    """Reads over versions."""

    def of_model(self, name: str) -> Self:
        """Versions of one model, newest first."""
        return self.filter(model__name=name).order_by("-number")

    def at_stage(self, *stages: str) -> Self:
        """Versions at any of these stages."""
        return self.filter(stage__in=[str(stage) for stage in stages])

    def at_the_top(self) -> Self:
        """Versions in the stage that may get all traffic, whatever their team calls it."""
        return self.filter(allowance=Allowance.ALL.value).exclude(stage=Stage.DEPRECATED.value)


VersionManager = models.Manager.from_queryset(ModelVersionQuerySet)


class LiveVersions(VersionManager["ModelVersion"]):
    """Versions that were not deleted."""

    def get_queryset(self) -> ModelVersionQuerySet:
        """Without tombstones."""
        rows = ModelVersionQuerySet(self.model, using=self._db)
        return rows.filter(deleted_at__isnull=True)


class ModelVersion(models.Model):
    """One version of a model: what was trained, where its artifact lies, how far it has come.

    `input_schema` holds features and tensors, `output_schema` the output, of
    `contracts.schema.ModelSchema`. `created_by` and `approved_by` are actor keys; `author` is the
    human behind `created_by`. `example` holds rows as they are sent to the model, one mapping of
    feature to value each. `background_…` tell of the sample that explanations compare with
    (`serving.background`); empty where none was logged. `declared` is the
    `contracts.declaration.Declaration` as it came in; its steps are part of `input_schema`, too.
    Until its `status` is ready a version has no artifact, no schema and no way to be promoted;
    `status_detail` says why one failed. `derived_from` is the version that this one was made of.
    `files` lists {path, size, sha256} of every file of an artifact that is kept as it came; their
    digest is the artifact's, and `artifact_uri` the folder. `triton_backend` is the backend of
    Triton that serves the artifact, empty where none does. `conversion` is the evidence of what was
    made of the artifact on its way in (`apps.registry.conversion`). `source` is what was
    registered, in the words of whoever did; `download_uri` where MLflow's clients read it, empty
    for `source` itself.
    A deleted version stays as a tombstone that only `with_deleted` shows; its number is not used
    again.
    """

    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    semantic_version = models.CharField(max_length=60, blank=True)
    framework = models.CharField(max_length=40)
    description = models.TextField(blank=True, db_default="")
    status = models.CharField(
        max_length=20,
        choices=choices(VersionStatus),
        default=VersionStatus.READY.value,
        db_default=VersionStatus.READY.value,
    )
    status_detail = models.TextField(blank=True, db_default="")
    derived_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="derivatives"
    )
    files = models.JSONField(
        default=list, blank=True, db_default=models.Value([], models.JSONField())
    )
    triton_backend = models.CharField(
        max_length=40, blank=True, default="onnxruntime", db_default="onnxruntime"
    )
    conversion = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )
    source = models.CharField(max_length=500, blank=True)
    download_uri = models.CharField(max_length=500, blank=True, db_default="")
    run_id = models.CharField(max_length=64, blank=True)
    run_link = models.CharField(max_length=500, blank=True, db_default="")
    artifact_uri = models.CharField(max_length=500, blank=True)
    artifact_digest = models.CharField(max_length=64, blank=True)
    size_bytes = models.PositiveBigIntegerField(default=0)
    declared = models.JSONField(default=dict, blank=True)
    background_uri = models.CharField(max_length=500, blank=True)
    background_digest = models.CharField(max_length=64, blank=True)
    background_size = models.PositiveBigIntegerField(default=0)
    background_rows = models.PositiveIntegerField(default=0)
    signature = models.JSONField(default=dict, blank=True)
    input_schema = models.JSONField(default=dict, blank=True)
    output_schema = models.JSONField(default=dict, blank=True)
    example = models.JSONField(default=list, blank=True)
    label_map = models.JSONField(default=dict, blank=True)
    decision_threshold = models.FloatField(default=0.5)
    metrics = models.JSONField(default=dict, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    tags = models.JSONField(default=dict, blank=True)
    trained_at = models.DateTimeField(null=True, blank=True)
    data_lineage = models.JSONField(default=dict, blank=True)
    code_lineage = models.JSONField(default=dict, blank=True)
    stage = models.CharField(max_length=20, default=Stage.DEV.value)
    allowance = models.CharField(
        max_length=20,
        choices=choices(Allowance),
        default=Allowance.NONE.value,
        db_default=Allowance.NONE.value,
    )
    approved_digest = models.CharField(max_length=64, blank=True)
    approved_evidence = models.CharField(max_length=64, blank=True, db_default="")
    approved_terms = models.CharField(max_length=64, blank=True, db_default="")
    approved_by = models.CharField(max_length=200, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    broke_glass_at = models.DateTimeField(null=True, blank=True)
    created_by = models.CharField(max_length=200)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = LiveVersions()
    with_deleted = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["model", "stage", "-number"], name="version_latest"),
            models.Index(
                fields=["model", "-number"],
                condition=~Q(stage__in=sorted(UNAPPROVED_STAGES)),
                name="version_approved",
            ),
            models.Index(fields=["model", "-updated_at", "-number"], name="version_changes"),
            models.Index(fields=["-updated_at"], name="version_newest_change"),
            models.Index(
                fields=["source"], opclasses=["varchar_pattern_ops"], name="version_source"
            ),
            GinIndex(fields=["source"], opclasses=["gin_trgm_ops"], name="version_source_parts"),
            models.Index(fields=["model", "-number"], name="version_newest"),
            models.Index(fields=["stage", "model"], name="version_stage_of_model"),
            models.Index(fields=["run_id"], name="version_run"),
            models.Index(
                fields=["model", "-approved_at"],
                condition=Q(allowance=Allowance.ALL.value) & ~Q(stage=Stage.DEPRECATED.value),
                name="version_top",
            ),
            models.Index(
                fields=["model", "-approved_at"],
                condition=Q(approved_at__isnull=False),
                name="version_last_approved",
            ),
            models.Index(fields=["model", "author", "-id"], name="version_of_author"),
            models.Index(fields=["model", "created_at", "-number"], name="version_oldest"),
            models.Index(
                fields=["semantic_version"],
                opclasses=["varchar_pattern_ops"],
                name="version_semantic_start",
            ),
            models.Index(
                fields=["-id"],
                condition=Q(status=VersionStatus.PENDING.value),
                name="version_pending",
            ),
            GinIndex(fields=["tags"], name="version_tags"),
        )
        constraints = (
            models.UniqueConstraint(fields=["model", "number"], name="version_number_once"),
            models.UniqueConstraint(
                fields=["model", "semantic_version"],
                condition=~Q(semantic_version=""),
                name="version_semantic_once",
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number"),
            matches("version_semantic", "semantic_version", SEMANTIC_PATTERN, or_empty=True),
            matches("version_stage", "stage", STAGE_PATTERN),
            one_of("version_allowance", "allowance", Allowance),
            models.CheckConstraint(
                condition=(
                    ~Q(stage__in=sorted(UNAPPROVED_STAGES)) | Q(allowance=Allowance.NONE.value)
                )
                & (
                    ~Q(stage=Stage.DEPRECATED.value)
                    | Q(allowance=OFF_LADDER[Stage.DEPRECATED].value)
                ),
                name="version_allowance_of_stage",
            ),
            one_of("version_status", "status", VersionStatus),
            matches("version_digest", "artifact_digest", or_empty=True),
            models.CheckConstraint(
                condition=~Q(status=VersionStatus.READY.value) | ~Q(artifact_digest=""),
                name="version_ready_has_artifact",
            ),
            models.CheckConstraint(
                condition=Q(status=VersionStatus.READY.value) | Q(stage=Stage.DEV.value),
                name="version_unready_stays_in_dev",
            ),
            matches("version_background", "background_digest", or_empty=True),
            matches("version_approved_digest", "approved_digest", or_empty=True),
            models.CheckConstraint(
                condition=Q(decision_threshold__gte=0, decision_threshold__lte=1),
                name="version_threshold",
            ),
            matches("version_approved_evidence", "approved_evidence", or_empty=True),
            matches("version_approved_terms", "approved_terms", or_empty=True),
            models.CheckConstraint(
                condition=Q(stage__in=sorted(UNAPPROVED_STAGES))
                | ~(Q(approved_digest="") | Q(approved_by="") | Q(approved_at__isnull=True)),
                name="version_stage_is_approved",
            ),
        )

    def __str__(self) -> str:
        return self.version_key

    @property
    def version_key(self) -> str:
        """How a version is named across the system: "flights/2". Reads the model."""
        return f"{self.model.name}/{self.number}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"version:{self.version_key}"

    @property
    def keys(self) -> list[str]:
        """Its keys in the event log, under every name that its model had. Reads the model."""
        names = (self.model.name, *self.model.former_names)
        return [f"version:{name}/{self.number}" for name in names]

    @property
    def entry_name(self) -> str:
        """What a model server calls it. Reads the model."""
        return entry_name(self.model.name, self.number)

    @property
    def is_at_the_top(self) -> bool:
        """Whether it stands in the stage that may get all traffic."""
        return self.allowance == Allowance.ALL and self.stage != Stage.DEPRECATED

    def schema(self) -> ModelSchema:
        """The typed schema. Raises msgspec.ValidationError when the row does not hold one."""
        return msgspec.convert({**self.input_schema, "output": self.output_schema}, ModelSchema)

    def labelling(self) -> Labelling:
        """Label map and threshold as the data plane takes them."""
        return Labelling(labels=self.label_map, threshold=self.decision_threshold)

    def declaration(self) -> Declaration:
        """What the training script declared. Raises msgspec.ValidationError."""
        return msgspec.convert(self.declared, Declaration)

    def content_digest(self) -> str:
        """SHA-256 hex of all that an approval signs.

        Artifact, schema with its preprocessing, label map, threshold; the background sample and the
        golden rows where there are any. Empty until there is an artifact.
        """
        if not self.artifact_digest:
            return ""
        golden = {"golden": self.declared["golden"]} if "golden" in self.declared else {}
        sample = {"background": self.background_digest} if self.background_digest else {}
        return digest_of(
            {
                **golden,
                **sample,
                "artifact": self.artifact_digest,
                "schema": {
                    **self.input_schema,
                    "output": msgspec.to_builtins(msgspec.convert(self.output_schema, OutputSpec)),
                },
                "labels": self.label_map,
                "threshold": float(self.decision_threshold),
            }
        )

    def signed_digest(self) -> str:
        """What the approval that it has would sign of it as it is now."""
        return signed_digest_of(self.content_digest(), self.approved_evidence, self.approved_terms)
