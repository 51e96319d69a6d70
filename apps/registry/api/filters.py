"""What lists can be narrowed by."""

from typing import Any

from django.db.models import QuerySet

from apps.accounts.api.filters import CharFilter, Filters, WordFilter
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    Tier,
    Validation,
)
from apps.registry.promotion import RequestState


def by_tag(rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
    """Rows with a tag: "key" or "key:value"."""
    key, colon, text = value.partition(":")
    if colon:
        return rows.filter(**{f"{name}__contains": {key: text}})
    return rows.filter(**{f"{name}__has_key": key})


def of_model(rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
    """Rows of the model of that name; plans differ by whether it has ten versions or 100,000."""
    found = RegisteredModel.objects.filter(name=value).first()
    return rows.filter(**{name: found}) if found else rows.none()


class ModelFilter(Filters):
    """`name` finds parts of names; `tag` is "key" or "key:value"."""

    name = CharFilter(lookup_expr="icontains")
    team = CharFilter(field_name="team__key")
    owner = CharFilter(field_name="owner__username")
    tier = WordFilter(Tier)
    tag = CharFilter(field_name="tags", method=by_tag)

    class Meta:
        model = RegisteredModel
        fields: tuple[str, ...] = ()


class VersionFilter(Filters):
    """`tag` is "key" or "key:value"."""

    stage = CharFilter()
    run_id = CharFilter()
    tag = CharFilter(field_name="tags", method=by_tag)

    class Meta:
        model = ModelVersion
        fields: tuple[str, ...] = ()


class ValidationFilter(Filters):
    """By state."""

    class Meta:
        model = Validation
        fields = ("state",)


class PromotionFilter(Filters):
    """By state, target stage, model and team."""

    state = WordFilter(RequestState)
    stage = CharFilter(field_name="target_stage")
    model = CharFilter(field_name="version__model", method=of_model)
    team = CharFilter(field_name="version__model__team__key")

    class Meta:
        model = PromotionRequest
        fields: tuple[str, ...] = ()
