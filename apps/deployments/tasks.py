"""Celery tasks: thin, idempotent, safe beside themselves.

Beat calls the ticks each second. A tick hands each object to a task of its own, so that one that
is slow or fails holds only itself; a task that nobody took in time is dropped, as the next tick
does the same work.
"""

from uuid import UUID

import structlog
from celery import shared_task
from django.utils import timezone

from apps.deployments import services
from apps.deployments.explaining import MOVING
from apps.deployments.models import Deployment, Rollout
from apps.events.errors import DomainError

log = structlog.get_logger(__name__)

QUEUE = "deployments"
STALE_S = 5


@shared_task(name="apps.deployments.tasks.tick_rollouts")
def tick_rollouts(**_: object) -> None:
    """Look at every rollout that is not over."""
    for pk in Rollout.objects.unfinished().values_list("pk", flat=True):
        tick_rollout.apply_async(kwargs={"id": str(pk)}, queue=QUEUE, expires=STALE_S)


@shared_task(name="apps.deployments.tasks.tick_rollout")
def tick_rollout(*, id: str, **_: object) -> None:
    """Look at one rollout; what is refused now is tried again by the next tick."""
    try:
        services.tick_rollout(rollout_id=UUID(id), now=timezone.now())
    except DomainError as error:
        log.warning("rollout.tick_refused", rollout=id, code=error.code, reason=error.detail)


@shared_task(name="apps.deployments.tasks.tick_deployments")
def tick_deployments(**_: object) -> None:
    """Look at every deployment that is on its way, and at explainers that follow."""
    moving = Deployment.objects.moving().idle(now=timezone.now())
    for pk in moving.values_list("pk", flat=True):
        advance_deployment.apply_async(kwargs={"id": str(pk)}, queue=QUEUE, expires=STALE_S)
    waiting = Deployment.objects.explainable(*MOVING).idle(now=timezone.now())
    for pk in waiting.values_list("pk", flat=True):
        advance_explainer.apply_async(kwargs={"id": str(pk)}, queue=QUEUE, expires=STALE_S)


@shared_task(name="apps.deployments.tasks.advance_deployment")
def advance_deployment(*, id: str, **_: object) -> None:
    """Take one deployment as far as it goes now."""
    try:
        services.advance_deployment(deployment_id=UUID(id), now=timezone.now())
    except DomainError as error:
        log.warning("deployment.refused", deployment=id, code=error.code, reason=error.detail)


@shared_task(name="apps.deployments.tasks.advance_explainer")
def advance_explainer(*, id: str, **_: object) -> None:
    """Take one deployment's explainer as far as it goes now."""
    try:
        services.advance_explainer(deployment_id=UUID(id), now=timezone.now())
    except DomainError as error:
        log.warning("explainer.refused", deployment=id, code=error.code, reason=error.detail)


@shared_task(name="apps.deployments.tasks.reconcile_deployments")
def reconcile_deployments(**_: object) -> None:
    """Set right what a target lost, and addresses that changed."""
    services.reconcile_deployments(now=timezone.now())
    services.reconcile_explainers(now=timezone.now())
