"""The checks of a validation as checks of a promotion: one mechanism, one kind of finding."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.registry.checks.interface import CheckResult
from apps.registry.models import Validation
from apps.registry.policy import Policy, Verdict

TITLES: Mapping[str, str] = {
    "artifact": "Artifact digest",
    "loads": "Loads",
    "signature": "Signature",
    "example": "Smoke predictions",
    "golden": "Golden predictions",
    "latency": "Latency",
    "metrics": "Metrics",
    "content": "Content",
}


@dataclass(frozen=True)
class Examined:
    """One finding of a validation, and whether the policy needs it."""

    name: str
    title: str
    required: bool
    result: CheckResult


def examined(validation: Validation, policy: Policy) -> Iterator[Examined]:
    """What a validation found, as a promotion takes it."""
    for found in validation.checks:
        name = str(found["name"])
        rule = policy.rule(name, examined=True)
        yield Examined(
            name=name,
            title=TITLES.get(name, name.replace("_", " ").capitalize()),
            required=rule is not None and rule.required,
            result=_result(found, f"/api/v1/validations/{validation.pk}"),
        )


def _result(found: Mapping[str, Any], link: str) -> CheckResult:
    return CheckResult(
        Verdict(found["verdict"]), str(found["detail"]), found.get("figures", {}), link
    )
