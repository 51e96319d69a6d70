"""Batches into Postgres, each exactly once: its key and its facts commit together."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import psycopg
import structlog
from django.db import transaction

from apps.accounts.access import Permission, Principal, authorise_anywhere, system
from apps.events import services as events
from apps.monitoring.errors import BatchAlreadyReplayed
from apps.monitoring.ingest import writing
from apps.monitoring.ingest.facts import Facts, fold
from apps.monitoring.ingest.staging import DbCursor, Staged, bulk_cursor
from apps.monitoring.models import DeadBatch, IngestedBatch
from apps.monitoring.partitions import ensure_days
from contracts.records import Batch, decode_batch

log = structlog.get_logger(__name__)
BatchKey = tuple[str, str, int]
SEEN_LOCK = 0x5EE2
INGEST = system("ingest")
# SQLSTATE classes: bad data, broken constraints, and limits such as the size of an index row.
CONTENT_FAULTS = {"22", "23", "54"}

CLAIM = Staged(
    "new_batches",
    {
        "gateway": "text",
        "boot": "text",
        "seq": "int8",
        "sealed_at": "float8",
        "records": "int4",
        "dropped": "int8",
        "joins_pending": "bool",
    },
    """
    INSERT INTO monitoring_ingestedbatch
        (gateway, boot, seq, sealed_at, records, dropped, joins_pending)
    SELECT gateway, boot, seq, to_timestamp(sealed_at), records, dropped, joins_pending
    FROM new_batches LEFT JOIN monitoring_gatewayboot known USING (gateway, boot)
    WHERE seq > coalesce(known.pruned_seq, 0)
    ORDER BY gateway, boot, seq
    ON CONFLICT (gateway, boot, seq) DO NOTHING
    RETURNING id, gateway, boot, seq
    """,
)

PENDING = Staged(
    "new_pending",
    {"batch_id": "int8", "envelope": "bytea"},
    "INSERT INTO monitoring_pendingrecords SELECT batch_id, envelope FROM new_pending",
)


class BatchName(msgspec.Struct, frozen=True):
    """The key of a batch, readable even where the rest of it is not."""

    gateway: str
    boot: str
    seq: int

    @property
    def key(self) -> BatchKey:
        """`(gateway, boot, seq)`."""
        return (self.gateway, self.boot, self.seq)


@dataclass(frozen=True)
class Envelope:
    """A batch, and the bytes that it came in."""

    batch: Batch
    body: bytes

    @classmethod
    def read(cls, body: bytes) -> "Envelope":
        """Raises msgspec.DecodeError."""
        return cls(decode_batch(body), body)


@dataclass(frozen=True)
class Committed:
    """What commits did: ids of the batches that were new, and what their facts were.

    `predictions`: ids of predictions whose record or outcome came; `rows` by kind of fact;
    `dropped` rows were lost by gateways before these batches.
    """

    batches: tuple[int, ...] = ()
    predictions: frozenset[str] = frozenset()
    rows: Mapping[str, int] = field(default_factory=dict)
    refused_outcomes: int = 0
    dropped: int = 0

    @classmethod
    def of(cls, batches: Iterable[int], facts: Facts) -> "Committed":
        """What a transaction did that claimed `batches` and wrote `facts`."""
        named = {outcome.prediction_id for outcome in facts.outcomes.values()} - {""}
        touched = frozenset(named | facts.records.keys())
        sizes = facts.sizes()
        return cls(tuple(batches), touched, sizes, facts.refused_outcomes, facts.dropped)

    def __add__(self, other: "Committed") -> "Committed":
        """Both."""
        kinds = {*self.rows, *other.rows}
        return Committed(
            self.batches + other.batches,
            self.predictions | other.predictions,
            {kind: self.rows.get(kind, 0) + other.rows.get(kind, 0) for kind in kinds},
            self.refused_outcomes + other.refused_outcomes,
            self.dropped + other.dropped,
        )


def commit(*, envelopes: Collection[Envelope]) -> Committed:
    """Count every batch that was not counted before, all in one transaction.

    Raises psycopg.Error or django.db.Error, and has then done nothing.
    """
    ensure_days(_days(envelopes))
    with transaction.atomic():
        cursor = bulk_cursor()
        ids = _claim(cursor, [envelope.batch for envelope in envelopes])
        fresh = {e.batch.key: e for e in envelopes if e.batch.key in ids}
        facts = fold(envelope.batch for envelope in fresh.values())
        writing.write(cursor, facts)
        _keep_records(cursor, {ids[key]: envelope for key, envelope in fresh.items()})
    return Committed.of(ids.values(), facts)


def is_content_fault(error: Exception) -> bool:
    """Whether Postgres refused what it was given (and always will), rather than being unwell."""
    source = error if isinstance(error, psycopg.Error) else error.__cause__
    return isinstance(source, psycopg.Error) and (source.sqlstate or "")[:2] in CONTENT_FAULTS


def bury(*, stream: str, body: bytes, error: str) -> DeadBatch:
    """Set aside a batch that cannot be counted, so that those after it can be.

    Its key counts as seen, if it can be read: the gateway must not keep sending it.
    """
    name = _name(body)
    with transaction.atomic():
        dead, is_new = DeadBatch.objects.get_or_create(
            digest=hashlib.sha256(body).hexdigest(),
            defaults={
                "stream": stream,
                "gateway": name.gateway if name else "",
                "boot": name.boot if name else "",
                "seq": name.seq if name else None,
                "envelope": body,
                "error": error,
            },
        )
        if is_new:
            _announce(dead, name)
    return dead


def replay_dead_batch(*, actor: Principal, dead: DeadBatch, now: datetime) -> Committed:
    """Count a batch that was set aside, once whatever was wrong is mended.

    The permission is an administrator's, in whatever team. Raises PermissionDenied,
    BatchAlreadyReplayed, msgspec.DecodeError or psycopg.Error; then nothing happened.
    """
    authorise_anywhere(actor, Permission.ADMINISTER)
    envelope = Envelope.read(bytes(dead.envelope))
    with transaction.atomic():
        waiting = DeadBatch.objects.filter(pk=dead.pk, replayed_at__isnull=True)
        if not waiting.update(replayed_at=now):
            raise BatchAlreadyReplayed(f"batch {dead} was replayed before")
        gateway, boot, seq = envelope.batch.key
        IngestedBatch.objects.filter(gateway=gateway, boot=boot, seq=seq).delete()
        committed = commit(envelopes=[envelope])
        events.record(actor=actor, verb="batch.replayed", object_key=dead.key)
    return committed


def _days(envelopes: Iterable[Envelope]) -> set[int]:
    """Days since 1970 of all that goes into partitioned tables."""
    return {
        int(at) // 86_400
        for envelope in envelopes
        for at in (
            *(counter.second for counter in envelope.batch.counters),
            *(found.second for found in envelope.batch.comparisons),
            *(record.at for record in envelope.batch.records),
        )
    }


def _claim(cursor: DbCursor, batches: Iterable[Batch]) -> dict[BatchKey, int]:
    """Ids of those batches that this transaction is the first to see, by key."""
    # Shared with other workers, exclusive for the pruning of keys (`maintenance.prune_batches`).
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (SEEN_LOCK,))
    CLAIM.write(cursor, (_row(batch) for batch in batches))
    claimed = cursor.fetchall()
    return {(str(g), str(b), int(str(s))): int(str(pk)) for pk, g, b, s in claimed}


def _row(batch: Batch) -> tuple[object, ...]:
    joins = bool(batch.records or batch.outcomes)
    return (*batch.key, batch.sealed_at, len(batch.records), batch.dropped, joins)


def _keep_records(cursor: DbCursor, envelopes: dict[int, Envelope]) -> None:
    rows = [(pk, envelope.body) for pk, envelope in envelopes.items() if envelope.batch.records]
    if rows:
        PENDING.write(cursor, rows)


def _name(body: bytes) -> BatchName | None:
    try:
        return msgspec.msgpack.decode(body, type=BatchName)
    except msgspec.DecodeError:
        return None


def _announce(dead: DeadBatch, name: BatchName | None) -> None:
    if name:
        _mark_seen(name)
    events.record(
        actor=INGEST,
        verb="batch.dead_lettered",
        object_key=dead.key,
        after={"stream": dead.stream, "bytes": len(dead.envelope)},
        reason=dead.error[:500],
    )
    log.error("batch.dead_lettered", stream=dead.stream, batch=str(dead), error=dead.error)


def _mark_seen(name: BatchName) -> None:
    IngestedBatch.objects.get_or_create(
        gateway=name.gateway,
        boot=name.boot,
        seq=name.seq,
        defaults={"sealed_at": datetime.now(UTC)},
    )
