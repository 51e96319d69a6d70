"""Addresses that hear of a team's events: made, changed, switched, taken away."""

import re
from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise
from apps.accounts.errors import AlreadyDone
from apps.accounts.models import Team
from apps.events.errors import Conflict, Invalid
from apps.events.services import record
from apps.notices import outbound, signing
from apps.notices.models import Webhook

log = structlog.get_logger(__name__)
MOST_PER_TEAM = 50
MOST_PATTERNS = 50
LONGEST_OVERLAP = timedelta(days=30)
_PATTERN = re.compile(r"[A-Za-z0-9_.:/@*?\[\]!+-]+")


@transaction.atomic
def create_webhook(
    *,
    actor: Principal,
    team: Team,
    url: str,
    verbs: Sequence[str] = (),
    objects: Sequence[str] = (),
    description: str = "",
) -> tuple[Webhook, str]:
    """Tell an address of the team's events from now on; the secret is returned this once.

    `verbs` and `objects` are fnmatch patterns, none means all. Raises PermissionDenied, Refused
    for an address that may not be called, Invalid for a pattern, Conflict when there are too many.
    """
    authorise(actor, Permission.ADMINISTER, team_key=team.key)
    outbound.check(url)
    Team.objects.select_for_update().get(pk=team.pk)
    if team.webhooks.count() >= MOST_PER_TEAM:
        raise Conflict(f"team {team.key} has {MOST_PER_TEAM} webhooks, which is the most")
    secret = signing.new_secret()
    webhook = Webhook.objects.create(
        team=team,
        url=url,
        verbs=_patterns("verbs", verbs),
        objects_heard=_patterns("objects", objects),
        description=description,
        secret=signing.seal(secret),
        created_by_key=actor.key,
    )
    _record(actor, "webhook.created", webhook, after=_described(webhook))
    return webhook, secret


@transaction.atomic
def change_webhook(
    *,
    actor: Principal,
    webhook: Webhook,
    reason: str,
    url: str | None = None,
    verbs: Sequence[str] | None = None,
    objects: Sequence[str] | None = None,
    description: str | None = None,
) -> Webhook:
    """Change what is given; the rest stays. What was made already goes to the new address."""
    authorise(actor, Permission.ADMINISTER, team_key=webhook.team.key)
    if url is not None:
        outbound.check(url)  # asks the resolver: before the row is locked
    locked = _locked(actor, webhook)
    before = _described(locked)
    locked.url = locked.url if url is None else url
    if verbs is not None:
        locked.verbs = _patterns("verbs", verbs)
    if objects is not None:
        locked.objects_heard = _patterns("objects", objects)
    if description is not None:
        locked.description = description
    locked.save(update_fields=["url", "verbs", "objects_heard", "description"])
    after = _described(locked)
    if after != before:
        _record(actor, "webhook.changed", locked, before=before, after=after, reason=reason)
    return locked


@transaction.atomic
def rotate_secret(
    *, actor: Principal, webhook: Webhook, overlap: timedelta = timedelta(), reason: str = ""
) -> tuple[Webhook, str]:
    """Sign with a new secret, which is returned this once; the old one signs too for `overlap`."""
    locked = _locked(actor, webhook)
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise Invalid("takes 0 to 30 days", field="overlap_s")
    secret = signing.new_secret()
    locked.older_secret = locked.secret if overlap else None
    locked.overlap_ends_at = timezone.now() + overlap if overlap else None
    locked.secret = signing.seal(secret)
    locked.save(update_fields=["secret", "older_secret", "overlap_ends_at"])
    _record(
        actor,
        "webhook.secret_rotated",
        locked,
        after={"overlap_s": overlap.total_seconds()},
        reason=reason,
    )
    return locked, secret


@transaction.atomic
def enable_webhook(*, actor: Principal, webhook: Webhook, reason: str) -> Webhook:
    """Send again: what waits, and what happens from now on. Raises AlreadyDone."""
    authorise(actor, Permission.ADMINISTER, team_key=webhook.team.key)
    outbound.check(webhook.url)
    locked = _locked(actor, webhook)
    if locked.disabled_at is None:
        raise AlreadyDone(f"{locked.url} is enabled already")
    before = {"disabled_reason": locked.disabled_reason}
    locked.disabled_at = locked.resumes_at = locked.first_failed_at = None
    locked.disabled_reason, locked.failures = "", 0
    locked.save(
        update_fields=[
            "disabled_at",
            "disabled_reason",
            "failures",
            "first_failed_at",
            "resumes_at",
        ]
    )
    _record(actor, "webhook.enabled", locked, before=before, reason=reason)
    return locked


@transaction.atomic
def disable_webhook(*, actor: Principal, webhook: Webhook, reason: str) -> Webhook:
    """Send nothing more; what waits is kept. Events of the meantime are never sent."""
    locked = _locked(actor, webhook)
    if locked.disabled_at is not None:
        raise AlreadyDone(f"{locked.url} is disabled already")
    return switch_off(actor=actor, locked=locked, reason=reason)


def switch_off(*, actor: Principal, locked: Webhook, reason: str) -> Webhook:
    """Disable a webhook whose row the caller has locked, and tell the log why."""
    authorise(actor, Permission.ADMINISTER, team_key=locked.team.key)
    locked.disabled_at, locked.disabled_reason = timezone.now(), reason
    locked.save(update_fields=["disabled_at", "disabled_reason"])
    after = {"url": locked.url, "created_by": locked.created_by_key}
    _record(actor, "webhook.disabled", locked, after=after, reason=reason)
    log.warning("webhook.disabled", webhook=locked.pk, actor=actor.key)
    return locked


@transaction.atomic
def delete_webhook(*, actor: Principal, webhook: Webhook, reason: str) -> None:
    """Take an address away with what was sent to it; the log keeps that it was there."""
    locked = _locked(actor, webhook)
    _record(actor, "webhook.deleted", locked, before=_described(locked), reason=reason)
    locked.delete()


def _locked(actor: Principal, webhook: Webhook) -> Webhook:
    authorise(actor, Permission.ADMINISTER, team_key=webhook.team.key)
    rows = Webhook.objects.select_for_update(of=("self",)).select_related("team")
    return rows.get(pk=webhook.pk)


def _patterns(field: str, given: Sequence[str]) -> list[str]:
    if len(given) > MOST_PATTERNS:
        raise Invalid(f"takes at most {MOST_PATTERNS} patterns", field=field)
    for pattern in given:
        if not _PATTERN.fullmatch(pattern):
            raise Invalid(f"{pattern!r} is no pattern (promotion.*, model:flights)", field=field)
    return list(given)


def _described(webhook: Webhook) -> dict[str, object]:
    return {
        "url": webhook.url,
        "verbs": webhook.verbs,
        "objects": webhook.objects_heard,
        "description": webhook.description,
    }


def _record(
    actor: Principal,
    verb: str,
    webhook: Webhook,
    *,
    before: object = None,
    after: object = None,
    reason: str = "",
) -> None:
    record(
        actor=actor,
        verb=verb,
        object_key=webhook.key,
        team_key=webhook.team.key,
        before=before,
        after=after,
        reason=reason,
    )
