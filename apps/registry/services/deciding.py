"""Who may decide a request, and when."""

from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events.errors import DomainError
from apps.registry.errors import Conflict, Frozen, Invalid, RequestClosed, SelfApproval
from apps.registry.models import PromotionRequest
from apps.registry.policy import Parties, Refusal, Signer, groups_of, refusal
from apps.registry.promotion import RequestState
from apps.registry.services.recording import record_promotion
from apps.registry.services.staging import lock_version
from apps.registry.terms import freeze_on

log = structlog.get_logger(__name__)


def signer_of(actor: Principal, request: PromotionRequest) -> Signer:
    """The actor as the policy sees them: roles in the model's team, teams where they approve."""
    team_key = request.version.model.team.key
    return Signer(
        kind=actor.kind,
        human_key=actor.human_key,
        roles=frozenset(role.value for role in actor.roles.get(team_key, ())),
        teams=frozenset(actor.teams_with(Permission.APPROVE)),
    )


def refusal_of(actor: Principal, request: PromotionRequest) -> Refusal | DomainError | None:
    """Why the actor may not decide this request, or None: four eyes, the policy, the role."""
    signer, policy = signer_of(actor, request), request.policy()
    refused = refusal(signer, parties_of(request), policy)
    if refused is not None:
        return refused
    if groups_of(policy, signer) and actor.can_anywhere(Permission.APPROVE):
        return None
    try:
        authorise(actor, Permission.APPROVE, team_key=request.version.model.team.key)
    except DomainError as denied:
        return denied
    return None


def parties_of(request: PromotionRequest) -> Parties:
    """Whose part in the request keeps them from signing it."""
    version = request.version
    return Parties(
        requester=request.requester,
        author=version.author,
        owner=version.model.owner.key,
        breaker=request.glass_broken_by,
    )


def require_decider(actor: Principal, request: PromotionRequest, attempt: str) -> None:
    """Raise unless the actor may decide; `attempt` is an approval, a rejection or a waiver.

    A refusal is an event of its own, committed before the error.
    """
    refused = refusal_of(actor, request)
    if refused is None:
        return
    verb = f"promotion.{attempt}_refused"
    with transaction.atomic(durable=True):
        record_promotion(actor, verb, request, str(refused))
    log.warning(verb, id=str(request.pk), actor=actor.key)
    raise SelfApproval(refused) if isinstance(refused, Refusal) else refused


def require_thawed(request: PromotionRequest, *, now: datetime) -> None:
    """Raise Frozen during a freeze, unless its policy takes no heed or the glass is broken."""
    if not request.policy().heeds_freezes or request.glass_broken_at is not None:
        return
    freeze = freeze_on(request.version, request.target_stage, now=now)
    if freeze is not None:
        raise Frozen(f"{freeze.window} freezes promotions until {freeze.until:%d %b %Y %H:%M %Z}")


def break_glass(*, actor: Principal, request: PromotionRequest, reason: str) -> PromotionRequest:
    """Let a request through a freeze that holds now; somebody else has to sign it.

    Loud: an event of its own, and a mark on the version for ever. Raises PermissionDenied, Invalid
    without a reason, RequestClosed, or Conflict when nothing is frozen or the glass is broken.
    """
    version = request.version
    team_key = version.model.team.key
    if not actor.can(Permission.APPROVE, team_key):
        authorise(actor, Permission.REQUEST_PROMOTION, team_key=team_key)
    if actor.kind != "user":
        raise SelfApproval("only a person breaks the glass")
    if not reason.strip():
        raise Invalid("say why it cannot wait", field="reason")
    now = timezone.now()
    freeze = freeze_on(version, request.target_stage, now=now)
    if freeze is None:
        raise Conflict("nothing is frozen now: there is no glass to break")
    with transaction.atomic():
        lock_version(version)
        _break(actor, request, reason, now)
        record_promotion(
            actor,
            "promotion.glass_broken",
            request,
            reason,
            freeze=str(freeze.window),
            until=freeze.until.isoformat(),
            attention=True,
        )
    log.warning("promotion.glass_broken", id=str(request.pk), actor=actor.key)
    return request


def _break(actor: Principal, request: PromotionRequest, reason: str, now: datetime) -> None:
    changes = {"glass_broken_by": actor.human_key, "glass_reason": reason, "glass_broken_at": now}
    mine = PromotionRequest.objects.filter(
        pk=request.pk, state=RequestState.REQUESTED.value, glass_broken_at__isnull=True
    )
    if request.approvals.filter(human=actor.human_key, voided_at__isnull=True).exists():
        raise Conflict("you have signed this: somebody else has to break the glass")
    if not mine.update(**changes):
        request.refresh_from_db(fields=["state", "glass_broken_at"])
        if request.state != RequestState.REQUESTED:
            raise RequestClosed(f"this request is {request.state}")
        raise Conflict("the glass of this request is broken already")
    for name, value in changes.items():
        setattr(request, name, value)
