"""Housekeeping of this app."""

from celery import shared_task
from django.utils import timezone

from apps.accounts.sessions import delete_ended


@shared_task
def delete_ended_sessions(**_: object) -> None:
    """Remove the rows of sessions that nobody can use any more."""
    delete_ended(now=timezone.now())
