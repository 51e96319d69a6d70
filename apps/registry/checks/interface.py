"""What a check is, and the list of those that are known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec
import structlog
from django.db import transaction

from apps.registry.models import ModelVersion
from apps.registry.policy import Verdict

log = structlog.get_logger(__name__)
Figures = Mapping[str, Any]


@dataclass(frozen=True)
class CheckContext:
    """What a check may look at: a version on its way into `stage`, and the one it would replace.

    `settings` are what the policy says to this check.
    """

    version: ModelVersion
    incumbent: ModelVersion | None
    stage: str
    settings: Mapping[str, Any]
    now: datetime


@dataclass(frozen=True)
class CheckResult:
    """What a check found: a sentence, figures as JSON values, and where the evidence is."""

    verdict: Verdict
    detail: str
    figures: Figures = field(default_factory=dict)
    link: str = ""


class Check(Protocol):
    """One thing to look at before a promotion.

    `run` reads; it changes nothing, waits for nobody and takes well under a second.
    """

    @property
    def name(self) -> str:
        """What policies call it."""

    @property
    def title(self) -> str:
        """What pages call it."""

    def applies_to(self, context: CheckContext) -> bool:
        """Whether there is anything to look at for this version and stage."""

    def run(self, context: CheckContext) -> CheckResult:
        """Look, and say what was found."""


_checks: dict[str, Check] = {}


def register(check: Check) -> None:
    """Add a check; names are unique."""
    _checks[check.name] = check


def registered() -> list[Check]:
    """Every check that is known, by name."""
    return [_checks[name] for name in sorted(_checks)]


def named(name: str) -> Check | None:
    """The check that policies call so."""
    return _checks.get(name)


def run_guarded(check: Check, context: CheckContext) -> CheckResult:
    """Run a check; one that breaks has found an error, and nothing else is lost with it."""
    try:
        with transaction.atomic():
            return check.run(context)
    except msgspec.ValidationError as error:
        return CheckResult(Verdict.ERROR, f"the policy's settings make no sense: {error}")
    except Exception as error:  # a plugin's: whatever it raises is its finding
        log.exception("check.broke_off", check=check.name, version=context.version.version_key)
        return CheckResult(Verdict.ERROR, f"the check broke off: {type(error).__name__}")
