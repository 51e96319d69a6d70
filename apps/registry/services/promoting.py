"""Promotion requests: asked by one, decided by another.

A decision is a compare-and-swap on the request's state under the version's row lock, in one
transaction with the stage, its history and the events: of two concurrent decisions one wins.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.accounts.errors import PermissionDenied
from apps.events import services as events
from apps.registry.errors import (
    Conflict,
    ContentChanged,
    Invalid,
    NotValidated,
    RequestClosed,
    SelfApproval,
    StageMoveRefused,
)
from apps.registry.evidence import frozen_evidence
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    Validation,
    ValidationState,
    digest_of,
)
from apps.registry.promotion import (
    Decider,
    Move,
    RequestState,
    Stage,
    Trigger,
    next_promotion,
    refusal,
    state_after,
)
from apps.registry.services.staging import change_stage, lock_version

log = structlog.get_logger(__name__)
LIFETIME = timedelta(days=7)
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
    """Ask that a version reach the next stage, on the evidence of its newest validation.

    Raises PermissionDenied, Invalid, StageMoveRefused, NotValidated, or Conflict when such a
    request is open already.
    """
    authorise(actor, Permission.REQUEST_PROMOTION, team_key=version.model.team.key)
    if stage not in (Stage.STAGING, Stage.PRODUCTION):
        raise Invalid("must be staging or production", field="stage")
    now = timezone.now()
    _expire(PromotionRequest.objects.filter(version=version), now=now)
    with transaction.atomic():
        request = _open_request(actor, lock_version(version), Stage(stage), reason, now)
    log.info("promotion.requested", version=version.version_key, stage=stage, id=str(request.pk))
    return request


def _open_request(
    actor: Principal, version: ModelVersion, target: Stage, reason: str, now: datetime
) -> PromotionRequest:
    possible = next_promotion(Stage(version.stage))
    if possible is not target:
        said = f"the next is {possible}" if possible else "no promotion leads on from there"
        raise StageMoveRefused(f"{version} is in {version.stage}: {said}", field="stage")
    opened = PromotionRequest.objects.open(now=now).filter(version=version, target_stage=target)
    if opened.exists():
        raise Conflict(f"a request to promote {version} to {target} is open already")
    validation = require_validated(version)
    evidence = frozen_evidence(version, validation)
    request = PromotionRequest.objects.create(
        version=version,
        target_stage=target.value,
        digest=validation.digest,
        evidence=evidence,
        evidence_digest=digest_of(evidence),
        reason=reason,
        requested_by_key=actor.key,
        requester=actor.human_key,
        expires_at=now + LIFETIME,
    )
    _record(actor, "promotion.requested", request, reason, state=request.state)
    return request


def require_validated(version: ModelVersion) -> Validation:
    """The newest validation of exactly this content. Raises NotValidated unless it passed."""
    digest = version.content_digest()
    newest = version.validations.filter(digest=digest).order_by("-id").first()
    if newest is None:
        raise NotValidated(f"{version} was not validated as it is now: validate it first")
    if newest.state != ValidationState.PASSED:
        raise NotValidated(f"the newest validation of {version} is {newest.state}")
    return newest


def approve(*, actor: Principal, request: PromotionRequest, reason: str = "") -> PromotionRequest:
    """Sign a request: the version reaches its stage.

    Whoever may not gets SelfApproval or PermissionDenied, and the log keeps that they tried.
    Raises RequestClosed, ContentChanged, StageMoveRefused or NotValidated as well.
    """
    _require_decider(actor, request, Trigger.APPROVE)
    now = timezone.now()
    _require_open(request, now=now)
    _require_unchanged(request, now=now)
    with transaction.atomic():
        version = lock_version(request.version)
        if version.content_digest() != request.digest:
            raise ContentChanged(f"{version} changed while it was being decided: look again")
        _swap(request, Trigger.APPROVE, actor=actor, reason=reason, now=now)
        require_validated(version)
        if next_promotion(Stage(version.stage)) != request.target_stage:
            raise StageMoveRefused(f"{version} is in {version.stage} by now", field="stage")
        change_stage(
            actor=actor,
            version=version,
            move=Move.PROMOTE,
            reason=reason,
            now=now,
            request=request,
        )
    request.version = version
    return request


def reject(*, actor: Principal, request: PromotionRequest, reason: str = "") -> PromotionRequest:
    """Decline a request, with a reason. Refusals as in `approve`."""
    if not reason.strip():
        raise Invalid("say why", field="reason")
    _require_decider(actor, request, Trigger.REJECT)
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


def _require_decider(actor: Principal, request: PromotionRequest, trigger: Trigger) -> None:
    """Four eyes and the role. A refusal is an event of its own, committed before the error."""
    version = request.version
    team_key = version.model.team.key
    decider = Decider(kind=actor.kind, human_key=actor.human_key)
    refused = refusal(decider, requester=request.requester, author=version.author)
    if refused is None and actor.can(Permission.APPROVE, team_key):
        return
    why = refused or f"{actor.display} may not approve in team {team_key}"
    verb = (
        "promotion.approval_refused"
        if trigger is Trigger.APPROVE
        else "promotion.rejection_refused"
    )
    with transaction.atomic(durable=True):
        _record(actor, verb, request, str(why), state=request.state)
    log.warning(verb, id=str(request.pk), actor=actor.key)
    raise SelfApproval(why) if refused else PermissionDenied(why)


def _require_open(request: PromotionRequest, *, now: datetime) -> None:
    _expire(PromotionRequest.objects.filter(pk=request.pk), now=now)
    request.refresh_from_db(fields=["state"])
    if request.state != RequestState.REQUESTED:
        raise RequestClosed(f"this request is {request.state}")


def _require_unchanged(request: PromotionRequest, *, now: datetime) -> None:
    """Void a request whose version changed; that stays, though the call fails."""
    version = request.version
    version.refresh_from_db()
    if version.content_digest() == request.digest:
        return
    with transaction.atomic(durable=True):
        _try_swap(request, Trigger.VOID, actor=CLOCK, reason="the content changed", now=now)
    raise ContentChanged(f"{version} changed since this was asked for: the request is void")


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
    _record(actor, PAST[trigger], request, reason, before=before.value, state=after.value)
    return True


def _record(
    actor: Principal,
    verb: str,
    request: PromotionRequest,
    reason: str,
    *,
    state: str,
    before: str | None = None,
) -> None:
    version = request.version
    events.record(
        actor=actor,
        verb=verb,
        object_key=request.key,
        team_key=version.model.team.key,
        before={"state": before} if before else None,
        after={
            "state": state,
            "version": version.version_key,
            "stage": request.target_stage,
            "digest": request.digest,
            "evidence_digest": request.evidence_digest,
        },
        reason=reason,
    )
