"""Events of promotion requests, all of one shape."""

from typing import Any

from apps.accounts.access import Principal
from apps.events import services as events
from apps.registry.models import PromotionRequest


def record_promotion(
    actor: Principal,
    verb: str,
    request: PromotionRequest,
    reason: str = "",
    *,
    before: str | None = None,
    **more: Any,
) -> None:
    """Record what happened to a request, with what was asked for and the digests as they are."""
    version = request.version
    events.record(
        actor=actor,
        verb=verb,
        object_key=request.key,
        team_key=version.model.team.key,
        before={"state": before} if before else None,
        after={
            "state": request.state,
            "version": version.version_key,
            "stage": request.target_stage,
            "digest": request.digest,
            "evidence_digest": request.evidence_digest,
            "terms_digest": request.terms_digest,
            **more,
        },
        reason=reason,
    )
