"""What is said where a figure cannot be computed: never 0, never p = 1."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NotComputable:
    """Stands in for a figure; `reason` is a clause for people. In arrays NaN says the same."""

    reason: str
