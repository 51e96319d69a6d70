"""What several of the pages say, and show beside it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from apps.registry.models import ModelVersion

TIMELINE = 25
METRIC_COLUMNS = 3


def checks_words(checks: Sequence[Mapping[str, Any]]) -> str:
    """How many of some checks pass: "8 of 9 checks pass"."""
    passed = sum(check["verdict"] == "pass" for check in checks)
    return f"{passed} of {len(checks)} checks pass" if checks else "no checks"


def metric_names(versions: Sequence[ModelVersion]) -> list[str]:
    """The metrics that lists have columns for: those that most of the versions have."""
    counted = Counter(name for version in versions for name in version.metrics)
    return [name for name, _ in counted.most_common(METRIC_COLUMNS)]


def keys_of(version: ModelVersion) -> list[str]:
    """Keys in the event log of a version and of its newest promotion requests."""
    requests = version.requests.order_by("-id").values_list("pk", flat=True)[:TIMELINE]
    return [version.key, *(f"promotion:{key}" for key in requests)]
