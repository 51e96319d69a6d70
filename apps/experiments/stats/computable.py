"""What cannot be computed is said, and is never p = 1."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NotComputable:
    """Why there is no figure, in words that a reader of the page understands."""

    reason: str


def first_reason(*values: object) -> NotComputable | None:
    """The first of `values` that could not be computed, or None."""
    return next((value for value in values if isinstance(value, NotComputable)), None)


def require_share(name: str, value: float) -> None:
    """Raise ValueError unless 0 < `value` < 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1")
