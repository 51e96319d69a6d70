"""Celery tasks: thin, idempotent, safe beside themselves."""

from celery import shared_task
from django.utils import timezone

from apps.routing import services


@shared_task(name="apps.routing.tasks.publish_latest")
def publish_latest(**_: object) -> None:
    """Heal what Redis lost: the routing table and the clients."""
    services.publish_latest()
    services.publish_clients()


@shared_task(name="apps.routing.tasks.publish_clients")
def publish_clients(**_: object) -> None:
    """Tell gateways of clients that came, changed or went."""
    services.publish_clients()


@shared_task(name="apps.routing.tasks.collect_gateway_reports")
def collect_gateway_reports(**_: object) -> None:
    """Look after the gateway fleet."""
    services.collect_gateway_reports(now=timezone.now())
