"""What people write on a model's card beside the figures that are filled in."""

from django.db import models
from django.db.models.functions import Now

from apps.registry.models.catalogue import RegisteredModel


class CardEdition(models.Model):
    """One state of the owner's part of a model's card; rows are only ever inserted.

    `text` is Markdown, `written_by` an actor key. The newest number is what the card shows.
    """

    model = models.ForeignKey(
        RegisteredModel, on_delete=models.CASCADE, related_name="card_editions"
    )
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    reason = models.TextField()
    written_by = models.CharField(max_length=200)
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["model", "number"], name="card_edition_once"),
        )

    def __str__(self) -> str:
        return f"edition {self.number} of the card of model {self.model_id}"
