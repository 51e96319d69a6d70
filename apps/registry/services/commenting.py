"""The talk about a request: nothing is deleted, and what was edited is kept."""

from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.accounts.errors import PermissionDenied
from apps.registry.errors import Invalid
from apps.registry.models import Comment, CommentEdition, PromotionRequest
from apps.registry.services.recording import record_promotion

LONGEST = 10_000


@transaction.atomic
def comment(*, actor: Principal, request: PromotionRequest, body: str) -> Comment:
    """Say something about a request, open or not. Raises PermissionDenied or Invalid."""
    authorise(actor, Permission.VIEW, team_key=request.version.model.team.key)
    _require_body(body)
    made = Comment.objects.create(
        request=request, author_key=actor.key, author=actor.human_key, body=body
    )
    made.refresh_from_db(fields=["created_at"])
    record_promotion(actor, "promotion.commented", request, comment=str(made.pk), body=body)
    return made


@transaction.atomic
def edit_comment(*, actor: Principal, comment: Comment, body: str) -> Comment:
    """Change one's own words; what they were stays readable. Raises PermissionDenied or Invalid."""
    request = comment.request
    authorise(actor, Permission.VIEW, team_key=request.version.model.team.key)
    _require_body(body)
    now = timezone.now()
    locked = Comment.objects.select_for_update().get(pk=comment.pk)
    if actor.human_key != locked.author:
        raise PermissionDenied("only whoever wrote a comment edits it")
    CommentEdition.objects.create(
        comment=locked,
        body=locked.body,
        written_at=locked.edited_at or locked.created_at,
        replaced_at=now,
    )
    locked.body, locked.edited_at = body, now
    locked.save(update_fields=["body", "edited_at"])
    record_promotion(actor, "promotion.comment_edited", request, comment=str(locked.pk), body=body)
    return locked


def _require_body(body: str) -> None:
    if not body.strip():
        raise Invalid("say something", field="body")
    if len(body) > LONGEST:
        raise Invalid(f"takes up to {LONGEST:,} characters", field="body")
