"""Rows held until the transaction ends."""

from apps.registry.errors import ModelNotFound
from apps.registry.models import RegisteredModel


def lock_model(model: RegisteredModel) -> RegisteredModel:
    """The model as it is now, with team and owner. Raises ModelNotFound when it was deleted."""
    rows = RegisteredModel.objects.select_for_update(no_key=True, of=("self",))
    found = rows.select_related("team", "owner").filter(pk=model.pk).first()
    if found is None:
        raise ModelNotFound(f"there is no model {model.name!r} any more", field="model")
    return found
