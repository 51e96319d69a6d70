"""Reference profiles of versions."""

from typing import TYPE_CHECKING

import msgspec
from django.db import models
from django.db.models.functions import Now

from apps.events.columns import matches
from apps.registry.models.catalogue import ModelVersion

if TYPE_CHECKING:
    from serving.reference import Reference


class ReferenceProfile(models.Model):
    """What a version's training sample looked like; written once, with the version.

    `body` is a `serving.reference.Reference` of `format`, `digest` the SHA-256 hex of its canonical
    form. `comparable` is false where there are too few rows to compare anything with.
    """

    version = models.OneToOneField(ModelVersion, on_delete=models.CASCADE, related_name="reference")
    format = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    source = models.CharField(max_length=20)
    comparable = models.BooleanField()
    body = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-id",)
        constraints = (matches("reference_digest", "digest"),)

    def __str__(self) -> str:
        return f"reference of {self.version_id}: {self.rows} rows"

    def reference(self) -> "Reference":
        """The typed profile. Raises msgspec.ValidationError."""
        # Imported on first use: every Django process comes by here, and few ever count.
        from serving.reference import Reference

        return msgspec.convert(self.body, Reference)
