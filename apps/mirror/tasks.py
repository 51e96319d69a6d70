"""Celery tasks: thin, idempotent, safe beside themselves."""

from celery import shared_task
from django.utils import timezone

from apps.mirror import services

# Contents of many gigabytes are read again; a sweep that is killed goes on where it was.
LONGEST_SWEEP_S = 4 * 3600


@shared_task
def begin_sweeps(**_: object) -> None:
    """Enqueue sweeps whose time has come."""
    services.begin_sweeps(now=timezone.now())


@shared_task(time_limit=LONGEST_SWEEP_S)
def sweep(*, id: int, **_: object) -> None:
    """Look at what one MLflow has."""
    services.sweep(mirror_id=id)


@shared_task
def begin_writing(**_: object) -> None:
    """Enqueue what MLflow is owed."""
    services.begin_writing(now=timezone.now())


@shared_task
def write_back(*, id: int, **_: object) -> None:
    """Tell one MLflow what it is owed."""
    services.write_back(mirror_id=id)
