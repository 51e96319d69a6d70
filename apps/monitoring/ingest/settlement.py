"""What follows a commit: outcomes meet predictions, and gateways hear how far they are ingested.

A record and its outcome may be committed by two workers at the same moment, neither seeing the
other's. So the join runs in a transaction of its own after each commit: whoever commits last sees
both. A worker that dies in between leaves `joins_pending`, which `settle_forgotten` finishes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import structlog
from django.db import transaction

from apps.monitoring.ingest.batches import Committed
from apps.monitoring.ingest.staging import DbCursor, bulk_cursor

log = structlog.get_logger(__name__)

# Always by index, row by row: the planner knows nothing of partitions that are minutes old, and a
# scan of one would cost more than all the rest.
BY_INDEX = """
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
"""
# Most outcomes are of predictions that nobody sampled, most predictions have no outcome yet.
MATCHED = """
SELECT DISTINCT o.prediction_id
FROM monitoring_outcome o JOIN monitoring_predictionrow p ON p.prediction_id = o.prediction_id
WHERE o.prediction_id = ANY(%(ids)s) AND o.prediction_id <> '' AND o.state = 'waiting'
"""
REFUSE = """
UPDATE monitoring_outcome o SET state = 'refused'
FROM monitoring_predictionrow p
WHERE o.prediction_id = ANY(%(ids)s) AND o.prediction_id <> '' AND o.state = 'waiting'
  AND p.prediction_id = o.prediction_id AND p.client <> o.client
"""
# The newest observation wins, so that a correction counts; rows only ever move forward in time.
LEARN = """
WITH newest AS MATERIALIZED (
    SELECT DISTINCT ON (prediction_id, client) prediction_id, client, value, occurred_at
    FROM monitoring_outcome
    WHERE prediction_id = ANY(%(ids)s) AND prediction_id <> '' AND metric = 'label'
      AND state IN ('waiting', 'joined')
    ORDER BY prediction_id, client, occurred_at DESC, received_at DESC, outcome_id DESC
)
UPDATE monitoring_predictionrow p SET truth = newest.value, truth_at = newest.occurred_at
FROM newest
WHERE p.prediction_id = newest.prediction_id AND p.client = newest.client
  AND (p.truth_at IS NULL OR p.truth_at <= newest.occurred_at)
  AND (p.truth, p.truth_at) IS DISTINCT FROM (newest.value, newest.occurred_at)
"""
JOIN = """
UPDATE monitoring_outcome o SET state = 'joined'
FROM monitoring_predictionrow p
WHERE o.prediction_id = ANY(%(ids)s) AND o.prediction_id <> '' AND o.state = 'waiting'
  AND p.prediction_id = o.prediction_id AND p.client = o.client
"""
DONE = "UPDATE monitoring_ingestedbatch SET joins_pending = false WHERE id = ANY(%s)"

FORGOTTEN = """
SELECT id FROM monitoring_ingestedbatch
WHERE joins_pending AND ingested_at < now() - make_interval(secs => %s)
ORDER BY id LIMIT 1000
"""
TOUCHED = """
WITH oldest AS (SELECT min(ingested_at) AS at FROM monitoring_ingestedbatch WHERE id = ANY(%s))
SELECT prediction_id FROM monitoring_predictionrow, oldest WHERE ingested_at >= oldest.at
UNION
SELECT prediction_id FROM monitoring_outcome, oldest
WHERE ingested_at >= oldest.at AND prediction_id <> ''
"""

# Numbers count from 1 without gaps: the highest one that is as far from the start as its rank.
# What the gateway has deleted was committed once. If it is not here, Postgres was restored from
# an older state; waiting for it would keep everything after it on the gateway's disk for ever.
ADVANCE = """
WITH known AS (
    SELECT coalesce(max(contiguous_seq), 0) AS seq FROM monitoring_gatewayboot
    WHERE gateway = %(gateway)s AND boot = %(boot)s
), base AS (
    SELECT greatest(seq, %(oldest)s - 1) AS seq, greatest(%(oldest)s - 1 - seq, 0) AS lost
    FROM known
)
INSERT INTO monitoring_gatewayboot AS known (gateway, boot, contiguous_seq, pruned_seq, updated_at)
SELECT %(gateway)s, %(boot)s, base.seq + count(batch.seq), 0, now()
FROM base
LEFT JOIN LATERAL (
    SELECT seq, row_number() OVER (ORDER BY seq) AS rank FROM monitoring_ingestedbatch
    WHERE gateway = %(gateway)s AND boot = %(boot)s AND seq > base.seq
) AS batch ON batch.seq = base.seq + batch.rank
GROUP BY base.seq
ON CONFLICT (gateway, boot) DO UPDATE SET
    contiguous_seq = greatest(known.contiguous_seq, excluded.contiguous_seq), updated_at = now()
RETURNING contiguous_seq, (SELECT lost FROM base)
"""

Boot = tuple[str, str]


def settle(
    *, committed: Committed, boots: Iterable[Boot], oldest: Mapping[Boot, int] | None = None
) -> dict[Boot, int]:
    """Join what was committed; the highest number up to which each boot has no gap.

    `oldest`: the lowest number that a boot's gateway has not deleted; what is before it and not
    here is lost, and is no gap.
    """
    kept = oldest or {}
    with transaction.atomic():
        cursor = bulk_cursor()
        _join(cursor, ids=committed.predictions, batches=committed.batches)
        return {boot: _advance(cursor, boot, kept.get(boot, 1)) for boot in sorted(boots)}


def settle_forgotten(*, older_than_s: float = 30.0) -> int:
    """Finish the joins of workers that died before theirs; how many batches there were."""
    with transaction.atomic():
        cursor = bulk_cursor()
        batches = [row[0] for row in cursor.execute(FORGOTTEN, (older_than_s,)).fetchall()]
        if batches:
            ids = [str(row[0]) for row in cursor.execute(TOUCHED, (batches,)).fetchall()]
            _join(cursor, ids=ids, batches=batches)
    return len(batches)


def _join(cursor: DbCursor, *, ids: Collection[str], batches: Sequence[object]) -> None:
    if ids:
        cursor.execute(BY_INDEX)
        cursor.execute(MATCHED, {"ids": list(ids)})
        matched = [str(row[0]) for row in cursor.fetchall()]
        for statement in (REFUSE, LEARN, JOIN) if matched else ():
            cursor.execute(statement, {"ids": matched})
    if batches:
        cursor.execute(DONE, (list(batches),))


def _advance(cursor: DbCursor, boot: Boot, oldest: int) -> int:
    gateway, life = boot
    row = cursor.execute(ADVANCE, {"gateway": gateway, "boot": life, "oldest": oldest}).fetchone()
    seq, lost = (int(str(row[0])), int(str(row[1]))) if row else (0, 0)
    if lost:
        log.warning("ingest.batches_lost", gateway=gateway, boot=life, batches=lost)
    return seq
