"""What columns of many tables have in common: keys, words of an enum, and the checks on them."""

from collections.abc import Iterable
from enum import StrEnum

from django.db import models
from django.db.models import Q

UUID7 = models.Func(function="uuidv7")
DIGEST_PATTERN = r"^[0-9a-f]{64}$"


def choices(words: Iterable[StrEnum]) -> list[tuple[str, str]]:
    """Django's choices of an enum: each word is its own label."""
    return [(word.value, word.value) for word in words]


def one_of(name: str, field: str, words: Iterable[str]) -> models.CheckConstraint:
    """The column holds one of these words, whoever writes it."""
    return models.CheckConstraint(condition=Q(**{f"{field}__in": list(map(str, words))}), name=name)


def matches(
    name: str, field: str, pattern: str = DIGEST_PATTERN, *, or_empty: bool = False
) -> models.CheckConstraint:
    """The column holds text like this (a SHA-256 in hex unless said), or may be empty too."""
    condition = Q(**{f"{field}__regex": pattern})
    if or_empty:
        condition = Q(**{field: ""}) | condition
    return models.CheckConstraint(condition=condition, name=name)
