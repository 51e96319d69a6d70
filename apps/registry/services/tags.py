"""Tags of models and versions, set and taken away one by one."""

from collections.abc import Mapping

from django.db import transaction
from django.db.models.functions import Now

from apps.accounts.access import Permission, Principal, authorise
from apps.events import services as events
from apps.registry.errors import Invalid
from apps.registry.models import ModelVersion, RegisteredModel
from apps.registry.services.locking import lock_model
from apps.registry.services.staging import lock_version

MAX_TAGS = 200
MAX_KEY = 250
MAX_VALUE = 100_000
MAX_ALL = 500_000


@transaction.atomic
def set_model_tag(*, actor: Principal, model: RegisteredModel, key: str, value: str) -> None:
    """Set one tag; the event keeps what it was. Raises PermissionDenied or Invalid."""
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    _change(actor, lock_model(model), "model.tags_changed", model.team.key, key, value)


@transaction.atomic
def delete_model_tag(*, actor: Principal, model: RegisteredModel, key: str) -> None:
    """Take one tag away, if it is there. Raises PermissionDenied."""
    authorise(actor, Permission.REGISTER, team_key=model.team.key)
    _change(actor, lock_model(model), "model.tags_changed", model.team.key, key, None)


@transaction.atomic
def set_version_tag(*, actor: Principal, version: ModelVersion, key: str, value: str) -> None:
    """Set one tag; the event keeps what it was. Raises PermissionDenied or Invalid."""
    authorise(actor, Permission.REGISTER, team_key=version.model.team.key)
    locked = lock_version(version)
    _change(actor, locked, "version.tags_changed", version.model.team.key, key, value)


@transaction.atomic
def delete_version_tag(*, actor: Principal, version: ModelVersion, key: str) -> None:
    """Take one tag away, if it is there. Raises PermissionDenied."""
    authorise(actor, Permission.REGISTER, team_key=version.model.team.key)
    locked = lock_version(version)
    _change(actor, locked, "version.tags_changed", version.model.team.key, key, None)


def valid_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they may be stored. Raises Invalid."""
    if len(tags) > MAX_TAGS:
        raise Invalid(f"at most {MAX_TAGS} tags", field="tags")
    for key, value in tags.items():
        _require_tag(key, value)
    if sum(len(key) + len(value) for key, value in tags.items()) > MAX_ALL:
        raise Invalid(f"all tags together have at most {MAX_ALL} characters", field="tags")
    return dict(tags)


def _require_tag(key: str, value: str) -> None:
    if not key or len(key) > MAX_KEY:
        raise Invalid(f"tag {key[:40]!r}: a key has 1 to {MAX_KEY} characters", field="key")
    if len(value) > MAX_VALUE:
        raise Invalid(
            f"tag {key[:40]!r}: a value exceeds the maximum length of {MAX_VALUE} characters",
            field="value",
        )
    if "\x00" in key or "\x00" in value:
        raise Invalid(f"tag {key[:40]!r}: a NUL character cannot be stored", field="value")


def _change(
    actor: Principal,
    locked: RegisteredModel | ModelVersion,
    verb: str,
    team_key: str,
    key: str,
    value: str | None,
) -> None:
    """Write one tag of a locked row (None for none) with its event, if that changes anything."""
    was = locked.tags.get(key)
    if was == value:
        return
    tags = {name: text for name, text in locked.tags.items() if name != key}
    if value is not None:
        tags = valid_tags({**tags, key: value})
    locked.tags = tags
    locked.updated_at = Now()
    locked.save(update_fields=["tags", "updated_at"])
    events.record(
        actor=actor,
        verb=verb,
        object_key=locked.key,
        team_key=team_key,
        before={"tags": {key: was}},
        after={"tags": {key: value}},
    )
