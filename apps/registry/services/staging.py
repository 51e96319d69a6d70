"""Changes of a version's stage, each with its history row and its event."""

from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events import services as events
from apps.registry.errors import ContentChanged, StageMoveRefused
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
)
from apps.registry.promotion import UNAPPROVED_STAGES, Move
from apps.registry.services.aliases import follow_stage
from apps.registry.terms import ladder_of

log = structlog.get_logger(__name__)
PERMISSIONS = {
    Move.DEPRECATE: Permission.DEPLOY,
    Move.ARCHIVE: Permission.DEPLOY,
    Move.REINSTATE: Permission.ROLL_BACK,
}
APPROVAL = (
    "stage",
    "allowance",
    "approved_digest",
    "approved_evidence",
    "approved_terms",
    "approved_by",
    "approved_at",
    "broke_glass_at",
)


def deprecate(*, actor: Principal, version: ModelVersion, reason: str) -> ModelVersion:
    """Production gives way: still served, until it is archived. Raises StageMoveRefused."""
    return _without_approval(actor, version, Move.DEPRECATE, reason)


def archive(*, actor: Principal, version: ModelVersion, reason: str) -> ModelVersion:
    """End a version that is not in production; it cannot come back. Raises StageMoveRefused."""
    return _without_approval(actor, version, Move.ARCHIVE, reason)


def reinstate(*, actor: Principal, version: ModelVersion, reason: str) -> ModelVersion:
    """Back from deprecated into production, on the approval that it still has.

    Raises StageMoveRefused, or ContentChanged when that approval was for something else.
    """
    return _without_approval(actor, version, Move.REINSTATE, reason)


@transaction.atomic
def _without_approval(
    actor: Principal, version: ModelVersion, move: Move, reason: str
) -> ModelVersion:
    authorise(actor, PERMISSIONS[move], team_key=version.model.team.key)
    locked = lock_version(version)
    if move is Move.REINSTATE and locked.approved_digest != locked.signed_digest():
        raise ContentChanged(f"{locked} is not what was approved: ask for a promotion")
    change_stage(actor=actor, version=locked, move=move, reason=reason, now=timezone.now())
    return locked


def lock_version(version: ModelVersion) -> ModelVersion:
    """The row as it is now, held until the transaction ends."""
    rows = ModelVersion.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("model__team").get(pk=version.pk)


def change_stage(
    *,
    actor: Principal,
    version: ModelVersion,
    move: Move,
    reason: str,
    now: datetime,
    request: PromotionRequest | None = None,
) -> None:
    """Move a locked version, write its history and its event.

    Raises StageMoveRefused when its stage does not allow the move.
    """
    before, ladder = version.stage, ladder_of(version.model.team_id)
    after = ladder.stage_after(before, move)
    if after is None:
        raise StageMoveRefused(f"{version} is in {before}: {move} is not possible", field="stage")
    digest, was_top = version.content_digest(), version.is_at_the_top
    version.stage, version.allowance = after, ladder.allowance(after).value
    _write_approval(version, actor, request, now)
    version.updated_at = now
    version.save(update_fields=[*APPROVAL, "updated_at"])
    RegisteredModel.objects.filter(pk=version.model_id).update(updated_at=now)
    _write_history(actor, version, before, digest, reason, now, request)
    follow_stage(actor=actor, version=version, was_top=was_top, reason=reason)


def _write_approval(
    version: ModelVersion, actor: Principal, request: PromotionRequest | None, now: datetime
) -> None:
    if request is not None:
        version.approved_digest = request.signed_digest()
        version.approved_evidence = request.evidence_digest
        version.approved_terms = request.terms_digest
        version.approved_by, version.approved_at = actor.key, now
        if request.glass_broken_at is not None:
            version.broke_glass_at = now
    elif version.stage in UNAPPROVED_STAGES:
        version.approved_digest, version.approved_by, version.approved_at = "", "", None
        version.approved_evidence = version.approved_terms = ""


def _write_history(
    actor: Principal,
    version: ModelVersion,
    before: str,
    digest: str,
    reason: str,
    now: datetime,
    request: PromotionRequest | None,
) -> None:
    broke_glass = request is not None and request.glass_broken_at is not None
    StageTransition.objects.create(
        version=version,
        from_stage=before,
        to_stage=version.stage,
        to_allowance=version.allowance,
        broke_glass=broke_glass,
        digest=digest,
        request=request,
        actor_key=actor.key,
        responsible_key=actor.responsible_key,
        reason=reason,
        occurred_at=now,
    )
    events.record(
        actor=actor,
        verb="version.stage_changed",
        object_key=version.key,
        team_key=version.model.team.key,
        before={"stage": before},
        after={
            "stage": version.stage,
            "digest": digest,
            "request": str(request.pk) if request else None,
            **({"broke_glass": True, "attention": True} if broke_glass else {}),
        },
        reason=reason,
    )
    log.info("version.stage_changed", version=version.version_key, stage=version.stage)
