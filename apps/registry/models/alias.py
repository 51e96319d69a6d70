"""Names that point at versions."""

from django.db import models
from django.db.models.functions import Now

from apps.events.columns import matches
from apps.registry.models.catalogue import ModelVersion, RegisteredModel
from apps.registry.naming import ALIAS_PATTERN


class ModelAlias(models.Model):
    """A name that points at one version of a model: "champion"."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=100)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="aliases")
    set_by = models.CharField(max_length=200)
    set_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["model", "name"], name="alias_once"),
            matches("alias_name", "name", ALIAS_PATTERN),
        )

    def __str__(self) -> str:
        return f"{self.name} -> {self.version_id}"
