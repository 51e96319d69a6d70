"""Writes of this app. The hot ones, which count facts, are in `apps.monitoring.ingest`."""

from datetime import date, datetime, timedelta

from django.db import connection, transaction

from apps.monitoring import partitions
from apps.monitoring.ingest.batches import SEEN_LOCK, replay_dead_batch
from apps.monitoring.tiling import KEPT_SECONDS

__all__ = [
    "drop_expired",
    "expire_seconds",
    "make_partitions_ahead",
    "prune_batches",
    "replay_dead_batch",
]

KEPT_BATCH_KEYS = timedelta(days=7)
PARTITIONS_AHEAD = 3

EXPIRE = """
DELETE FROM monitoring_trafficwindow WHERE started_at >= %(since)s AND started_at < %(until)s
"""

PRUNE = """
WITH prunable AS (
    SELECT boot.id, boot.gateway, boot.boot, least(boot.contiguous_seq, coalesce(
        (SELECT min(batch.seq) - 1 FROM monitoring_ingestedbatch batch
         LEFT JOIN monitoring_pendingrecords pending ON pending.batch_id = batch.id
         WHERE batch.gateway = boot.gateway AND batch.boot = boot.boot
           AND (batch.ingested_at >= %(before)s OR batch.joins_pending
                OR pending.batch_id IS NOT NULL)),
        boot.contiguous_seq)) AS seq
    FROM monitoring_gatewayboot boot
), marked AS (
    UPDATE monitoring_gatewayboot boot SET pruned_seq = greatest(boot.pruned_seq, prunable.seq)
    FROM prunable WHERE boot.id = prunable.id
    RETURNING boot.gateway, boot.boot, boot.pruned_seq
)
DELETE FROM monitoring_ingestedbatch batch USING marked
WHERE batch.gateway = marked.gateway AND batch.boot = marked.boot
  AND batch.seq <= marked.pruned_seq
"""


def expire_seconds(*, now: datetime) -> int:
    """Drop windows of a second that are older than an hour; how many there were.

    Their minutes and hours stay, and were written together with them.
    """
    until = now.replace(second=0, microsecond=0) - timedelta(seconds=KEPT_SECONDS)
    return _expire(until - timedelta(days=partitions.BACK_DAYS), until)


def _expire(since: datetime, until: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(EXPIRE, {"since": since, "until": until})
        return int(cursor.rowcount)


def make_partitions_ahead(*, today: date) -> None:
    """Make the partitions of today and the next days, before their first fact arrives."""
    for days in range(PARTITIONS_AHEAD + 1):
        partitions.ensure(today + timedelta(days=days))


def drop_expired(*, today: date, traffic_days: int, prediction_days: int) -> int:
    """Drop partitions beyond their retention (in days, at least 2); how many there were."""
    dropped = 0
    for table, days in (
        (partitions.TRAFFIC, 2),
        (partitions.ROLLUPS, traffic_days),
        (partitions.SHADOWS, traffic_days),
        (partitions.PREDICTIONS, prediction_days),
        (partitions.SHADOW_PREDICTIONS, prediction_days),
    ):
        with transaction.atomic():
            dropped += partitions.drop_before(table, today - timedelta(days=max(days, 2)))
    return dropped


@transaction.atomic
def prune_batches(*, now: datetime) -> int:
    """Forget keys of batches older than a week that have no gap before them; how many.

    They still count as seen, by `GatewayBoot.pruned_seq`.
    """
    with connection.cursor() as cursor:
        # No commit may be deciding what it has seen while keys move from one place to the other.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEEN_LOCK])
        cursor.execute(PRUNE, {"before": now - KEPT_BATCH_KEYS})
        return int(cursor.rowcount)
