"""What Celery runs."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.registry import services

# Artifacts of many gigabytes take longer than other tasks may.
LONGEST_TAKEOVER_S = 4 * 3600


@shared_task
def run_validation(*, id: str, **_: object) -> None:
    """Examine a version."""
    services.run_validation(validation_id=UUID(id))


@shared_task
def resume_validations(**_: object) -> None:
    """Enqueue validations that no worker holds."""
    services.resume_validations(now=timezone.now())


@shared_task(time_limit=LONGEST_TAKEOVER_S)
def take_over(*, id: int, **_: object) -> None:
    """Bring the artifact of a pending version in."""
    services.take_over(takeover_id=id)


@shared_task
def resume_takeovers(**_: object) -> None:
    """Enqueue takeovers that no worker holds."""
    services.resume_takeovers(now=timezone.now())


@shared_task
def expire_requests(**_: object) -> None:
    """Close promotion requests whose time has passed."""
    services.expire_requests(now=timezone.now())


@shared_task
def run_checks(*, id: str, **_: object) -> None:
    """Make the webhook checks of a promotion request."""
    services.run_checks(request_id=UUID(id))


@shared_task
def resume_checks(**_: object) -> None:
    """Enqueue checks whose time has come, and give up on those that nobody answers."""
    services.resume_checks(now=timezone.now())
