"""What this app does on events."""

from uuid import UUID

import structlog
from django.utils import timezone

from apps.deployments import services
from apps.deployments.errors import RollbackRefused
from apps.deployments.models import Rollout
from apps.events.models import Event
from apps.events.services import subscribe

log = structlog.get_logger(__name__)

PREFIX = "rollout:"


def register() -> None:
    """Called when the app is ready."""
    subscribe("deployments.overrides", ("gateway.override_reported",), withdraw_everywhere)
    subscribe("deployments.approvals", ("endpoint.unapproved_traffic",), withdraw_unapproved)


def withdraw_everywhere(event: Event) -> None:
    """A gateway withdrew a candidate by its own evidence: roll its rollout back."""
    if not event.object_key.startswith(PREFIX):
        return
    rollout_id = UUID(event.object_key.removeprefix(PREFIX))
    if not Rollout.objects.filter(pk=rollout_id).exists():
        log.warning("override.unknown_rollout", rollout=str(rollout_id))
        return
    try:
        services.roll_back_on_evidence(
            rollout_id=rollout_id, evidence=_words(event), now=timezone.now()
        )
    except RollbackRefused as error:
        log.warning("override.too_late", rollout=str(rollout_id), reason=error.detail)


def withdraw_unapproved(event: Event) -> None:
    """A candidate lost its approval while it has traffic: roll its rollout back."""
    told = event.after if isinstance(event.after, dict) else {}
    name = event.object_key.removeprefix("endpoint:")
    rollouts = Rollout.objects.unfinished().select_related("candidate__model")
    for rollout in rollouts.filter(endpoint__name=name):
        if rollout.candidate.version_key == told.get("version"):
            services.roll_back_on_evidence(
                rollout_id=rollout.pk,
                evidence=f"{rollout.candidate} is not approved any more",
                now=timezone.now(),
            )


def _words(event: Event) -> str:
    told = event.after if isinstance(event.after, dict) else {}
    evidence = told.get("evidence")
    figures = evidence if isinstance(evidence, dict) else {}
    wealth, units = figures.get("wealth"), figures.get("units")
    words = f"gateway {told.get('gateway', '?')} withdrew the candidate"
    if isinstance(wealth, int | float) and isinstance(units, int):
        shown = f"e-value {min(wealth, 1e9):,.0f} on {units:,} failing users"
        words += f": its users meet more errors, beyond chance ({shown})"
    return words
