"""What the ingest process tells Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

BATCHES = Counter("switchyard_ingest_batches_total", "Batches taken from the streams", ["result"])
ROWS = Counter("switchyard_ingest_rows_total", "Rows committed, by stream of facts", ["kind"])
REFUSED_OUTCOMES = Counter(
    "switchyard_ingest_refused_outcomes_total", "Outcomes that cannot be stored as they are"
)
DROPPED = Counter("switchyard_ingest_dropped_rows_total", "Rows that gateways lost to a full spool")
COMMIT_SECONDS = Histogram(
    "switchyard_ingest_commit_seconds", "Seconds from reading entries to acknowledging them"
)
LAG = Gauge("switchyard_ingest_lag_seconds", "Age of the last batch when it was committed")
BACKLOG = Gauge("switchyard_ingest_backlog_entries", "Entries waiting in a stream", ["stream"])
PENDING_RECORDS = Gauge(
    "switchyard_ingest_pending_record_batches", "Batches whose records are not in the lake yet"
)
LAKE_OBJECTS = Counter("switchyard_ingest_lake_objects_total", "Parquet objects written")
LAKE_FAILURES = Counter("switchyard_ingest_lake_failures_total", "Failed attempts to write")
