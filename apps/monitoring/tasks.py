"""What Celery runs."""

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from apps.monitoring import services


@shared_task
def expire_seconds(**_: object) -> None:
    """Drop windows of a second that are older than an hour."""
    services.expire_seconds(now=timezone.now())


@shared_task
def maintain_partitions(**_: object) -> None:
    """Make partitions ahead, drop those beyond retention, forget old keys."""
    now = timezone.now()
    services.make_partitions_ahead(today=now.date())
    services.drop_expired(
        today=now.date(),
        traffic_days=settings.CONFIG.traffic_retention_days,
        prediction_days=settings.CONFIG.prediction_retention_days,
    )
    services.prune_batches(now=now)
