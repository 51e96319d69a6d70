"""All that somebody needs who is to sign a request: what an approver's page and the API show."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.accounts.access import Principal
from apps.registry import impact
from apps.registry.comparison import Difference, compare
from apps.registry.evidence import incumbent, side, what_changed
from apps.registry.models import (
    Approval,
    CheckRun,
    Comment,
    ModelVersion,
    PromotionRequest,
)
from apps.registry.policy import Policy, Signed, missing_evidence, missing_signatures
from apps.registry.promotion import RequestState
from apps.registry.services.deciding import refusal_of
from apps.registry.terms import Freeze, freeze_on


@dataclass(frozen=True)
class Dossier:
    """A request with its terms, checks, signatures, talk and reach.

    `missing` says what still stands between it and its approval, `refusal` why this reader may
    not sign ("" when they may), `changed` what is not as it was asked for.
    """

    request: PromotionRequest
    policy: Policy
    source: str
    checks: list[CheckRun]
    approvals: list[Approval]
    comments: list[Comment]
    incumbent: ModelVersion | None
    differences: list[Difference]
    freeze: Freeze | None
    missing: list[str]
    refusal: str
    changed: str
    has_signed: bool
    radius: impact.BlastRadius
    ways_back: tuple[impact.WayBack, ...]

    @property
    def is_open(self) -> bool:
        """Whether it waits for a decision."""
        return self.request.state == RequestState.REQUESTED

    @property
    def can_sign(self) -> bool:
        """Whether this reader's signature would count now."""
        stands = not self.refusal and not self.changed and not self.has_signed
        return self.is_open and stands and self.is_thawed and not self.missing_checks

    @property
    def is_thawed(self) -> bool:
        """Whether no freeze holds it, or its glass is broken."""
        heeds = self.policy.heeds_freezes and self.request.glass_broken_at is None
        return self.freeze is None or not heeds

    @property
    def missing_checks(self) -> list[str]:
        """What the checks lack, in words."""
        return missing_evidence(run.finding() for run in self.checks)

    @property
    def progress(self) -> tuple[int, int]:
        """Checks that have a verdict, and all of them."""
        return sum(bool(run.verdict) for run in self.checks), len(self.checks)


def dossier(request: PromotionRequest, principal: Principal, *, now: datetime) -> Dossier:
    """Everything about a request, as this reader sees it; `request` comes with its version."""
    version, policy = request.version, request.policy()
    before = incumbent(version)
    approvals = list(request.approvals.all())
    valid = [one for one in approvals if one.voided_at is None]
    checks = list(request.checks.all())
    lacking = missing_evidence(run.finding() for run in checks)
    is_open = request.state == RequestState.REQUESTED
    refused = refusal_of(principal, request)
    return Dossier(
        request=request,
        policy=policy,
        source=str(request.terms.get("source", "")),
        checks=checks,
        approvals=approvals,
        comments=list(request.comments.prefetch_related("editions")),
        incumbent=before,
        differences=compare(side(before), side(version)) if before else [],
        freeze=freeze_on(version, request.target_stage, now=now) if is_open else None,
        missing=[*lacking, *missing_signatures(policy, _signed(valid))] if is_open else [],
        refusal=str(refused) if refused else "",
        changed=what_changed(request) if is_open else "",
        has_signed=principal.human_key in {one.human for one in valid},
        radius=impact.blast_radius(version),
        ways_back=impact.ways_back(version),
    )


def _signed(approvals: list[Approval]) -> list[Signed]:
    return [Signed(one.human, tuple(one.groups)) for one in approvals]


def as_json(found: Dossier) -> dict[str, Any]:
    """The parts of a dossier that are no rows, as JSON values."""
    return {
        "missing": found.missing,
        "refusal": found.refusal,
        "changed": found.changed,
        "can_sign": found.can_sign,
        "frozen_until": found.freeze.until.isoformat() if found.freeze else None,
        "freeze": str(found.freeze.window) if found.freeze else "",
        "blast_radius": {
            "endpoints": [
                {
                    "endpoint": one.endpoint,
                    "team": one.team,
                    "versions": list(one.versions),
                    "share": one.share,
                    "requests_per_s": one.requests_per_s,
                    "clients": one.clients,
                }
                for one in found.radius.endpoints
            ],
            "teams": list(found.radius.teams),
            "requests_per_s": found.radius.requests_per_s,
        },
        "rollback": [
            {
                "endpoint": one.endpoint,
                "version": one.version,
                "loaded": one.loaded,
                "seconds": one.seconds,
                "sentence": one.sentence,
            }
            for one in found.ways_back
        ],
    }
