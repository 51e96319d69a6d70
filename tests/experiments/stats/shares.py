"""How often something happened in a simulation, and how far chance may take that."""

import math
from collections.abc import Iterable


def share(name: str, happened: Iterable[bool]) -> tuple[float, float]:
    """The share and its Monte-Carlo standard error; both are printed, for `pytest -s`."""
    found = [bool(one) for one in happened]
    rate = sum(found) / len(found)
    error = math.sqrt(max(rate * (1 - rate), 1 / len(found)) / len(found))
    print(f"\n{name}={rate:.4f} (Monte-Carlo error {error:.4f}, {len(found):,} runs)", end="")
    return rate, error


def is_near(name: str, happened: Iterable[bool], expected: float) -> bool:
    """Whether the share is `expected` within three Monte-Carlo errors."""
    rate, error = share(name, happened)
    return abs(rate - expected) <= 3 * error


def is_at_most(name: str, happened: Iterable[bool], limit: float) -> bool:
    """Whether the share is at most `limit`, again within three errors."""
    rate, error = share(name, happened)
    return rate <= limit + 3 * error
