"""Celery tasks: thin, idempotent, safe beside themselves."""

from celery import shared_task
from django.utils import timezone

from apps.notices import mailing, sending, services


@shared_task(name="apps.notices.tasks.send_due")
def send_due(**_: object) -> None:
    """Send what webhooks wait for."""
    sending.send_due()


@shared_task(name="apps.notices.tasks.expire_deliveries")
def expire_deliveries(**_: object) -> None:
    """Forget old messages and mails."""
    services.expire_deliveries(now=timezone.now())
    services.expire_mails(now=timezone.now())


@shared_task(name="apps.notices.tasks.send_mails")
def send_mails(**_: object) -> None:
    """Send the mail that people wait for."""
    mailing.send_mails(now=timezone.now())
