"""What lists can be narrowed by."""

from typing import Any

import django_filters as filters  # type: ignore[import-untyped]  # has no types
from django.db.models import QuerySet

from apps.events.columns import choices
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    Tier,
    Validation,
)
from apps.registry.promotion import RequestState, Stage


def by_tag(rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
    """Rows with a tag: "key" or "key:value"."""
    key, colon, text = value.partition(":")
    if colon:
        return rows.filter(**{f"{name}__contains": {key: text}})
    return rows.filter(**{f"{name}__has_key": key})


class Filters(filters.FilterSet):  # type: ignore[misc]  # has no types
    """A list's filters."""


class ModelFilter(Filters):
    """`name` finds parts of names; `tag` is "key" or "key:value"."""

    name = filters.CharFilter(lookup_expr="icontains")
    team = filters.CharFilter(field_name="team__key")
    owner = filters.CharFilter(field_name="owner__username")
    tier = filters.ChoiceFilter(choices=choices(Tier))
    tag = filters.CharFilter(field_name="tags", method=by_tag)

    class Meta:
        model = RegisteredModel
        fields: tuple[str, ...] = ()


class VersionFilter(Filters):
    """`tag` is "key" or "key:value"."""

    stage = filters.ChoiceFilter(choices=choices(Stage))
    run_id = filters.CharFilter()
    tag = filters.CharFilter(field_name="tags", method=by_tag)

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

    state = filters.ChoiceFilter(choices=choices(RequestState))
    stage = filters.ChoiceFilter(field_name="target_stage", choices=choices(Stage))
    model = filters.CharFilter(field_name="version__model__name")
    team = filters.CharFilter(field_name="version__model__team__key")

    class Meta:
        model = PromotionRequest
        fields: tuple[str, ...] = ()
