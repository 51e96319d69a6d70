"""What lists are narrowed by: django-filter, given a type in this one place."""

from collections.abc import Iterable
from enum import StrEnum

from django_filters import BooleanFilter, CharFilter, ChoiceFilter, FilterSet, NumberFilter

from apps.events.columns import choices

__all__ = ["BooleanFilter", "CharFilter", "Filters", "NumberFilter", "WordFilter"]


class Filters(FilterSet):  # type: ignore[misc]  # has no types
    """A list's filters; all that are given must fit."""


class WordFilter(ChoiceFilter):  # type: ignore[misc]  # has no types
    """One of an enum's words."""

    def __init__(self, words: Iterable[StrEnum], **options: object) -> None:
        super().__init__(choices=choices(words), **options)
