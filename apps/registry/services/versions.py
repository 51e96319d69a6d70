"""Describing and deleting versions, and registering them in MLflow's words."""

from collections.abc import Mapping

import structlog
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.events import services as events
from apps.registry import holds
from apps.registry.errors import Conflict, Invalid
from apps.registry.intake.order import Order
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    VersionStatus,
)
from apps.registry.promotion import UNAPPROVED_STAGES
from apps.registry.services.aliases import drop_aliases
from apps.registry.services.staging import lock_version
from apps.registry.services.tags import valid_tags
from apps.registry.services.taking_over import cancel_takeover, register_version

log = structlog.get_logger(__name__)
MAX_DESCRIPTION = 20_000
MAX_LINK = 500


@transaction.atomic
def register_source(
    *,
    actor: Principal,
    model: RegisteredModel,
    source: str,
    origin: ModelVersion | None = None,
    run_id: str = "",
    run_link: str = "",
    tags: Mapping[str, str] | None = None,
    description: str = "",
    server: str = "",
) -> ModelVersion:
    """A pending version of what lies at `source`, or of what `origin`, a version of ours, has.

    `server` says which MLflow (`apps.registry.mlflow.servers`), by default the configured one.
    Raises PermissionDenied, or Invalid naming the field.
    """
    place = (origin.download_uri or origin.source) if origin else source
    if len(run_link) > MAX_LINK:
        raise Invalid(f"has at most {MAX_LINK} characters", field="run_link")
    version = register_version(
        actor=actor,
        model=model,
        source=source,
        run_id=run_id,
        description=valid_description(description),
        tags=valid_tags(tags or {}),
        order=Order(source=place, run_id=run_id, server=server),
    )
    version.run_link = run_link
    version.download_uri = place if origin else ""
    version.save(update_fields=["run_link", "download_uri"])
    RegisteredModel.objects.filter(pk=model.pk).update(updated_at=Now())
    return version


@transaction.atomic
def update_version(
    *,
    actor: Principal,
    version: ModelVersion,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> ModelVersion:
    """Change what is given; the event keeps what was there before.

    Raises PermissionDenied, or Invalid naming the field.
    """
    authorise(actor, Permission.REGISTER, team_key=version.model.team.key)
    locked = lock_version(version)
    before = {"description": locked.description, "tags": locked.tags}
    if description is not None:
        locked.description = valid_description(description)
    if tags is not None:
        locked.tags = valid_tags(tags)
    after = {"description": locked.description, "tags": locked.tags}
    changed = [name for name in before if before[name] != after[name]]
    if not changed:
        return locked
    locked.updated_at = timezone.now()
    locked.save(update_fields=["description", "tags", "updated_at"])
    events.record(
        actor=actor,
        verb="version.updated",
        object_key=locked.key,
        team_key=locked.model.team.key,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
    )
    return locked


@transaction.atomic
def delete_version(*, actor: Principal, version: ModelVersion, reason: str = "") -> None:
    """Take a version out of sight; its history stays, and its number is not used again.

    Raises PermissionDenied, or Conflict for one that is approved or being decided about.
    """
    authorise(actor, Permission.REGISTER, team_key=version.model.team.key)
    locked = lock_version(version)
    _require_free(locked)
    if locked.status == VersionStatus.PENDING:
        cancel_takeover(actor=actor, version=locked, reason=reason or "the version was deleted")
    drop_aliases(actor=actor, version=locked, reason=reason)
    now = timezone.now()
    ModelVersion.objects.filter(pk=locked.pk).update(deleted_at=now, updated_at=now)
    RegisteredModel.objects.filter(pk=locked.model_id).update(updated_at=now)
    events.record(
        actor=actor,
        verb="version.deleted",
        object_key=locked.key,
        team_key=locked.model.team.key,
        before={
            "stage": locked.stage,
            "source": locked.source,
            "artifact_digest": locked.artifact_digest,
        },
        reason=reason,
    )
    log.info("version.deleted", version=locked.version_key, actor=actor.key)


def _require_free(version: ModelVersion) -> None:
    if version.stage not in UNAPPROVED_STAGES:
        raise Conflict(f"{version} is in {version.stage}: archive it before it is deleted")
    asked = PromotionRequest.objects.open(now=timezone.now()).filter(version=version)
    if asked.exists():
        raise Conflict(f"a promotion of {version} is being decided: withdraw the request first")
    if held := holds.reason(version.model, version):
        raise Conflict(f"{version} cannot be deleted: {held}")


def valid_description(text: str) -> str:
    """A description as it may be stored. Raises Invalid."""
    if len(text) > MAX_DESCRIPTION or "\x00" in text:
        raise Invalid(f"has at most {MAX_DESCRIPTION} characters, and no NUL", field="description")
    return text
