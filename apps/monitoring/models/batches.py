"""Which batches of facts are counted, and those that could not be."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class IngestedBatch(models.Model):
    """A batch whose facts are counted. Its key commits together with its aggregates.

    `joins_pending`: its records and outcomes have still to be joined (`ingest.labels`).
    `dropped`: rows that the gateway lost to a full spool before this batch.
    """

    gateway = models.TextField()
    boot = models.TextField()
    seq = models.BigIntegerField()
    sealed_at = models.DateTimeField()
    ingested_at = models.DateTimeField(db_default=Now())
    records = models.PositiveIntegerField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)
    joins_pending = models.BooleanField(default=False)

    class Meta:
        indexes = (
            models.Index(
                fields=["id"], condition=Q(joins_pending=True), name="batch_joins_pending"
            ),
            BrinIndex(fields=["ingested_at"], name="batch_ingested", autosummarize=True),
        )
        constraints = (
            models.UniqueConstraint(fields=["gateway", "boot", "seq"], name="batch_once"),
        )

    def __str__(self) -> str:
        return f"{self.gateway}/{self.boot}/{self.seq}"


class GatewayBoot(models.Model):
    """How far one life of a gateway is ingested.

    Every batch up to `contiguous_seq` is committed. Rows of IngestedBatch up to `pruned_seq` are
    deleted and still count as seen.
    """

    gateway = models.TextField()
    boot = models.TextField()
    contiguous_seq = models.BigIntegerField(default=0)
    pruned_seq = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["gateway", "boot"], name="boot_once"),
            models.CheckConstraint(
                condition=Q(pruned_seq__lte=models.F("contiguous_seq")), name="boot_pruned"
            ),
        )

    def __str__(self) -> str:
        return f"{self.gateway}/{self.boot} up to {self.contiguous_seq}"


class PendingRecords(models.Model):
    """A batch whose sampled records are not in the lake yet; `envelope` is the batch's bytes."""

    batch = models.OneToOneField(
        IngestedBatch, on_delete=models.PROTECT, primary_key=True, related_name="pending_records"
    )
    envelope = models.BinaryField()

    def __str__(self) -> str:
        return f"records of batch {self.batch_id}"


class DeadBatch(models.Model):
    """A batch that could not be read or stored; it is kept until it is replayed.

    `seq` is null when not even the batch's key could be read. `digest` is the envelope's SHA-256:
    however often a gateway sends it, it lies here once.
    """

    stream = models.TextField()
    gateway = models.TextField(blank=True)
    boot = models.TextField(blank=True)
    seq = models.BigIntegerField(null=True)
    envelope = models.BinaryField()
    digest = models.CharField(max_length=64, unique=True)
    error = models.TextField()
    failed_at = models.DateTimeField(db_default=Now())
    replayed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "dead batches"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.gateway or self.stream}/{self.boot or '?'}/{self.seq or '?'}"

    @property
    def key(self) -> str:
        """The object key in the event log."""
        return f"batch:{self}"
