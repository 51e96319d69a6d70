"""What Celery runs."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.registry import services


@shared_task
def run_validation(*, id: str, **_: object) -> None:
    """Examine a version."""
    services.run_validation(validation_id=UUID(id))


@shared_task
def resume_validations(**_: object) -> None:
    """Enqueue validations that no worker holds."""
    services.resume_validations(now=timezone.now())


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
