"""Writes of this app. The hot ones, which count facts, are in `apps.monitoring.ingest`."""

from datetime import date, datetime, timedelta

from django.db import connection, transaction

from apps.monitoring import partitions
from apps.monitoring.ingest.batches import SEEN_LOCK, replay_dead_batch

__all__ = [
    "drop_expired",
    "make_partitions_ahead",
    "prune_batches",
    "replay_dead_batch",
    "roll_up_windows",
]

SECOND_S, MINUTE_S = 1, 60
KEPT_IN_SECONDS = timedelta(hours=1)
KEPT_BATCH_KEYS = timedelta(days=7)
PARTITIONS_AHEAD = 3
ROLLED_AT_ONCE = 20_000

_SUMS = (
    "requests",
    "failed",
    "cache_hits",
    "fallbacks",
    "pinned",
    "latency_sum_ms",
    "prediction_sum",
    "positives",
    "batches",
    "batch_rows",
)
_COUNTS = ("errors", "latency", "predictions")
_KEY = "endpoint, started_at, version_key, variant, phase, width_s"

ROLL_UP = f"""
WITH old AS (
    SELECT {_KEY} FROM monitoring_trafficwindow
    WHERE width_s = {SECOND_S} AND started_at >= %(since)s AND started_at < %(until)s
    ORDER BY {_KEY} LIMIT {ROLLED_AT_ONCE} FOR UPDATE
), gone AS (
    DELETE FROM monitoring_trafficwindow AS seconds USING old
    WHERE (seconds.endpoint, seconds.started_at, seconds.version_key, seconds.variant,
           seconds.phase, seconds.width_s)
        = (old.endpoint, old.started_at, old.version_key, old.variant, old.phase, old.width_s)
    RETURNING seconds.*
), minutes AS (
    INSERT INTO monitoring_trafficwindow AS held ({_KEY}, {", ".join(_SUMS + _COUNTS)})
    SELECT endpoint, date_trunc('minute', started_at), version_key, variant, phase, {MINUTE_S},
        {", ".join(f"sum({name})" for name in _SUMS)},
        {", ".join(f"monitoring_sum_counts({name})" for name in _COUNTS)}
    FROM gone GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT ({_KEY}) DO UPDATE SET
        {", ".join(f"{name} = held.{name} + excluded.{name}" for name in _SUMS)},
        {
    ", ".join(f"{name} = monitoring_add_counts(held.{name}, excluded.{name})" for name in _COUNTS)
}
)
SELECT count(*) FROM gone
"""  # noqa: S608  # names of columns and constants of this module

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


def roll_up_windows(*, now: datetime) -> int:
    """Merge windows of a second that are older than an hour into minutes; how many there were.

    Nothing is lost: counts and sketches add. A late second is merged by the next call.
    """
    until = (now - KEPT_IN_SECONDS).replace(second=0, microsecond=0)
    rolled = 0
    while moved := _roll_up(until - timedelta(days=partitions.BACK_DAYS), until):
        rolled += moved
        if moved < ROLLED_AT_ONCE:
            break
    return rolled


@transaction.atomic
def _roll_up(since: datetime, until: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(ROLL_UP, {"since": since, "until": until})
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def make_partitions_ahead(*, today: date) -> None:
    """Make the partitions of today and the next days, before their first fact arrives."""
    for days in range(PARTITIONS_AHEAD + 1):
        partitions.ensure(today + timedelta(days=days))


def drop_expired(*, today: date, traffic_days: int, prediction_days: int) -> int:
    """Drop partitions beyond their retention (in days, at least 2); how many there were."""
    dropped = 0
    for table, days in (
        (partitions.TRAFFIC, traffic_days),
        (partitions.PREDICTIONS, prediction_days),
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
