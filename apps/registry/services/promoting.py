"""Promotion requests: asked by one, decided by others.

A decision is a compare-and-swap on the request's state under the version's row lock, in one
transaction with the stage, its history and the events: of two concurrent decisions one wins, and
two concurrent signatures are both counted.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.accounts.errors import PermissionDenied
from apps.registry.checks.examined import examined
from apps.registry.errors import (
    AlreadySigned,
    Conflict,
    ContentChanged,
    EvidenceIncomplete,
    Invalid,
    NotValidated,
    RequestClosed,
    StageMoveRefused,
)
from apps.registry.evidence import known_evidence, what_changed
from apps.registry.models import (
    OPEN_VALIDATIONS,
    Approval,
    ModelVersion,
    PromotionRequest,
    Validation,
    digest_of,
)
from apps.registry.policy import (
    Policy,
    Signed,
    Verdict,
    groups_of,
    missing_evidence,
    missing_signatures,
)
from apps.registry.promotion import Ladder, Move, RequestState, Trigger, state_after
from apps.registry.services.checking import begin_checks
from apps.registry.services.deciding import require_decider, require_thawed, signer_of
from apps.registry.services.readiness import require_ready
from apps.registry.services.recording import record_promotion
from apps.registry.services.staging import change_stage, lock_version
from apps.registry.terms import Terms, ladder_of, terms_for

log = structlog.get_logger(__name__)
CLOCK = system("promotion")
PAST = {
    Trigger.APPROVE: "promotion.approved",
    Trigger.REJECT: "promotion.rejected",
    Trigger.WITHDRAW: "promotion.withdrawn",
    Trigger.EXPIRE: "promotion.expired",
    Trigger.VOID: "promotion.voided",
}


def request_promotion(
    *, actor: Principal, version: ModelVersion, stage: str, reason: str = ""
) -> PromotionRequest:
    """Ask that a version reach the next stage of its team's ladder.

    The policy in force is written into the request, and its checks begin. Raises PermissionDenied,
    Invalid, VersionNotReady, StageMoveRefused, NotValidated, or Conflict when such a request is
    open already.
    """
    authorise(actor, Permission.REQUEST_PROMOTION, team_key=version.model.team.key)
    ladder = ladder_of(version.model.team_id)
    if stage not in ladder.targets:
        raise Invalid(f"must be one of {', '.join(ladder.targets)}", field="stage")
    now = timezone.now()
    _expire(PromotionRequest.objects.filter(version=version), now=now)
    with transaction.atomic():
        request = _open_request(actor, lock_version(version), ladder, stage, reason, now)
    log.info("promotion.requested", version=version.version_key, stage=stage, id=str(request.pk))
    return request


def _open_request(
    actor: Principal,
    version: ModelVersion,
    ladder: Ladder,
    target: str,
    reason: str,
    now: datetime,
) -> PromotionRequest:
    require_ready(version)
    possible = ladder.next_promotion(version.stage)
    if possible != target:
        said = f"the next is {possible}" if possible else "no promotion leads on from there"
        raise StageMoveRefused(f"{version} is in {version.stage}: {said}", field="stage")
    opened = PromotionRequest.objects.open(now=now).filter(version=version, target_stage=target)
    if opened.exists():
        raise Conflict(f"a request to promote {version} to {target} is open already")
    terms = terms_for(version, target, ladder)
    validation = require_validated(version, terms.policy)
    request = _insert(actor, version, terms, validation, reason, now)
    begin_checks(request, now=now, validation=validation)
    record_promotion(actor, "promotion.requested", request, reason, **_asked_of(terms.policy))
    return request


def _asked_of(policy: Policy) -> dict[str, Any]:
    """Whom the policy lets sign beside the team's approvers, for whoever tells them."""
    teams = sorted({team for group in policy.groups for team in group.teams})
    people = sorted({key for group in policy.groups for key in group.people})
    return {"asked_of": {"teams": teams, "people": people}} if teams or people else {}


def _insert(
    actor: Principal,
    version: ModelVersion,
    terms: Terms,
    validation: Validation,
    reason: str,
    now: datetime,
) -> PromotionRequest:
    evidence = known_evidence(version, validation)
    return PromotionRequest.objects.create(
        version=version,
        target_stage=terms.stage,
        digest=validation.digest,
        evidence=evidence,
        evidence_digest=digest_of(evidence),
        terms=terms.as_json,
        terms_digest=terms.digest,
        reason=reason,
        requested_by_key=actor.key,
        requester=actor.human_key,
        expires_at=now + timedelta(hours=terms.policy.lifetime_h),
    )


def require_validated(version: ModelVersion, policy: Policy) -> Validation:
    """The newest validation of exactly this content.

    Raises NotValidated unless it found what the policy needs.
    """
    digest = version.content_digest()
    newest = version.validations.filter(digest=digest).order_by("-id").first()
    if newest is None:
        raise NotValidated(f"{version} was not validated as it is now: validate it first")
    if newest.state in OPEN_VALIDATIONS:
        raise NotValidated(f"the newest validation of {version} is {newest.state}")
    failing = [
        one.title
        for one in examined(newest, policy)
        if one.required and one.result.verdict is not Verdict.PASS
    ]
    if failing:
        said = f"the newest validation of {version} is {newest.state}"
        raise NotValidated(f"{said}: {', '.join(failing)} did not pass")
    return newest


def approve(*, actor: Principal, request: PromotionRequest, reason: str = "") -> PromotionRequest:
    """Sign a request; the signature that completes it lets the version reach its stage.

    Whoever may not gets SelfApproval or PermissionDenied, and the log keeps that they tried.
    Raises RequestClosed, ContentChanged (the request is void then), AlreadySigned, Frozen,
    EvidenceIncomplete, StageMoveRefused or NotValidated as well.
    """
    require_decider(actor, request, "approval")
    now = timezone.now()
    _require_open(request, now=now)
    _require_unchanged(request, now=now)
    require_thawed(request, now=now)
    with transaction.atomic():
        version = lock_version(request.version)
        request.refresh_from_db()
        request.version = version
        _require_still_open(request)
        _require_signable(request)
        _sign(actor, request, reason)
        if not missing_signatures(request.policy(), _signatures(request)):
            _complete(actor, request, reason, now)
    return request


def _require_still_open(request: PromotionRequest) -> None:
    if request.state != RequestState.REQUESTED:
        raise RequestClosed("somebody else decided this request just now")


def _require_signable(request: PromotionRequest) -> None:
    """Under the lock: what would be signed is there, complete, and still holds."""
    version = request.version
    if version.content_digest() != request.digest or not request.is_intact():
        raise ContentChanged(f"{version} changed while it was being decided: look again")
    lacking = missing_evidence(run.finding() for run in request.checks.all())
    if lacking or request.frozen_at is None:
        raise EvidenceIncomplete("; ".join(lacking) or "the evidence is not complete yet")
    require_validated(version, request.policy())
    ladder = ladder_of(version.model.team_id)
    if ladder.next_promotion(version.stage) != request.target_stage:
        raise StageMoveRefused(f"{version} is in {version.stage} by now", field="stage")


def _sign(actor: Principal, request: PromotionRequest, reason: str) -> None:
    if request.approvals.filter(human=actor.human_key, voided_at__isnull=True).exists():
        raise AlreadySigned(f"{actor.display} has signed this already")
    policy = request.policy()
    approval = Approval.objects.create(
        request=request,
        human=actor.human_key,
        digest=request.signed_digest(),
        groups=list(groups_of(policy, signer_of(actor, request))),
        reason=reason,
    )
    record_promotion(
        actor,
        "promotion.signed",
        request,
        reason,
        approval=str(approval.pk),
        signed=approval.digest,
    )


def _signatures(request: PromotionRequest) -> list[Signed]:
    """Approvals of exactly what the request holds now."""
    valid = request.approvals.filter(digest=request.signed_digest(), voided_at__isnull=True)
    return [Signed(row.human, tuple(row.groups)) for row in valid]


def _complete(actor: Principal, request: PromotionRequest, reason: str, now: datetime) -> None:
    _swap(request, Trigger.APPROVE, actor=actor, reason=reason, now=now)
    change_stage(
        actor=actor,
        version=request.version,
        move=Move.PROMOTE,
        reason=reason,
        now=now,
        request=request,
    )


def reject(*, actor: Principal, request: PromotionRequest, reason: str = "") -> PromotionRequest:
    """Decline a request, with a reason; one is enough. Refusals as in `approve`."""
    if not reason.strip():
        raise Invalid("say why", field="reason")
    require_decider(actor, request, "rejection")
    return _close(actor, request, Trigger.REJECT, reason)


def withdraw(*, actor: Principal, request: PromotionRequest, reason: str = "") -> PromotionRequest:
    """Take one's own request back; administrators may for others.

    Raises PermissionDenied or RequestClosed.
    """
    team_key = request.version.model.team.key
    authorise(actor, Permission.REQUEST_PROMOTION, team_key=team_key)
    others = actor.human_key != request.requester
    if others and not actor.can(Permission.ADMINISTER, team_key):
        raise PermissionDenied("only whoever asked, or an administrator, withdraws a request")
    return _close(actor, request, Trigger.WITHDRAW, reason)


def expire_requests(*, now: datetime) -> int:
    """Close every open request whose time has passed; how many."""
    return _expire(PromotionRequest.objects.all(), now=now)


def _expire(requests: QuerySet[PromotionRequest], *, now: datetime) -> int:
    closed = 0
    due = requests.filter(state=RequestState.REQUESTED.value, expires_at__lte=now)
    for request in due.select_related("version__model__team"):
        with transaction.atomic():
            closed += _try_swap(request, Trigger.EXPIRE, actor=CLOCK, reason="", now=now)
    return closed


def _close(
    actor: Principal, request: PromotionRequest, trigger: Trigger, reason: str
) -> PromotionRequest:
    now = timezone.now()
    _require_open(request, now=now)
    with transaction.atomic():
        _swap(request, trigger, actor=actor, reason=reason, now=now)
    return request


def _require_open(request: PromotionRequest, *, now: datetime) -> None:
    _expire(PromotionRequest.objects.filter(pk=request.pk), now=now)
    request.refresh_from_db(fields=["state"])
    if request.state != RequestState.REQUESTED:
        raise RequestClosed(f"this request is {request.state}")


def _require_unchanged(request: PromotionRequest, *, now: datetime) -> None:
    """Void a request when a part of what it is about changed; that stays, though the call fails."""
    version = request.version
    version.refresh_from_db()
    changed = what_changed(request)
    if not changed:
        return
    with transaction.atomic(durable=True):
        _try_swap(request, Trigger.VOID, actor=CLOCK, reason=f"{changed} changed", now=now)
    raise ContentChanged(f"{changed} changed since this was asked for: the request is void")


def _swap(
    request: PromotionRequest, trigger: Trigger, *, actor: Principal, reason: str, now: datetime
) -> None:
    if not _try_swap(request, trigger, actor=actor, reason=reason, now=now):
        raise RequestClosed("somebody else decided this request just now")


def _try_swap(
    request: PromotionRequest, trigger: Trigger, *, actor: Principal, reason: str, now: datetime
) -> bool:
    """Compare-and-swap from REQUESTED with the event; False when it is closed already."""
    before = RequestState.REQUESTED
    after = state_after(before, trigger)
    if after is None:
        raise RequestClosed(f"a request that is {before} does not {trigger}")
    changes = {
        "state": after.value,
        "decided_by_key": actor.key,
        "decider": actor.human_key,
        "decision_reason": reason,
        "decided_at": now,
    }
    if not PromotionRequest.objects.filter(pk=request.pk, state=before.value).update(**changes):
        return False
    for name, value in changes.items():
        setattr(request, name, value)
    record_promotion(actor, PAST[trigger], request, reason, before=before.value)
    return True
