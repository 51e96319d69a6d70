"""Changes of a version's stage, each with its history row and its event."""

from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events import services as events
from apps.registry.errors import ContentChanged, StageMoveRefused
from apps.registry.models import ModelVersion, PromotionRequest, StageTransition
from apps.registry.promotion import APPROVED_STAGES, Move, Stage, stage_after

log = structlog.get_logger(__name__)
PERMISSIONS = {
    Move.DEPRECATE: Permission.DEPLOY,
    Move.ARCHIVE: Permission.DEPLOY,
    Move.REINSTATE: Permission.ROLL_BACK,
}


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
    if move is Move.REINSTATE and locked.approved_digest != locked.content_digest():
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
    before = Stage(version.stage)
    after = stage_after(before, move)
    if after is None:
        raise StageMoveRefused(f"{version} is in {before}: {move} is not possible", field="stage")
    digest = version.content_digest()
    version.stage = after.value
    if request is not None:
        version.approved_digest, version.approved_by = request.digest, actor.key
        version.approved_at = now
    elif after not in APPROVED_STAGES:
        version.approved_digest, version.approved_by, version.approved_at = "", "", None
    version.save(update_fields=["stage", "approved_digest", "approved_by", "approved_at"])
    _write_history(actor, version, before, digest, reason, now, request)


def _write_history(
    actor: Principal,
    version: ModelVersion,
    before: Stage,
    digest: str,
    reason: str,
    now: datetime,
    request: PromotionRequest | None,
) -> None:
    StageTransition.objects.create(
        version=version,
        from_stage=before.value,
        to_stage=version.stage,
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
        before={"stage": before.value},
        after={
            "stage": version.stage,
            "digest": digest,
            "request": str(request.pk) if request else None,
        },
        reason=reason,
    )
    log.info("version.stage_changed", version=version.version_key, stage=version.stage)
