"""Counts by key, added up: pure."""

from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key")


def add_counts(total: dict[Key, int], more: Mapping[Key, int]) -> None:
    """Add `more` to `total`, key by key."""
    for key, count in more.items():
        total[key] = total.get(key, 0) + count
