"""Metrics of versions as rows, so that an index finds those above a figure."""

from django.db import models

from apps.registry.models.catalogue import ModelVersion, RegisteredModel


class VersionMetric(models.Model):
    """One number of a version's `metrics`. Triggers keep these rows; nobody else writes them.

    The first index answers what few versions fit, the second what most of them do, in the order of
    the list.
    """

    version = models.ForeignKey(
        ModelVersion, on_delete=models.CASCADE, related_name="metric_rows", db_index=False
    )
    model = models.ForeignKey(
        RegisteredModel, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.TextField()
    value = models.FloatField()

    class Meta:
        ordering = ("name",)
        indexes = (
            models.Index(fields=["model", "name", "value", "version"], name="metric_by_value"),
            models.Index(
                fields=["model", "name", "-version"], include=["value"], name="metric_newest"
            ),
        )
        constraints = (models.UniqueConstraint(fields=["version", "name"], name="metric_once"),)

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"
