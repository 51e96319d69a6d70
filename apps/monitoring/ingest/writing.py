"""How facts become rows: one statement a table, and every one of them adds or keeps the first.

Rows go in key order, so that two workers wait for each other instead of deadlocking.
"""

from collections.abc import Iterator

from psycopg.types.json import Jsonb

from apps.monitoring.ingest.facts import (
    Facts,
    Window,
    WindowKey,
    Windows,
    rolled_up,
    value_text,
)
from apps.monitoring.ingest.shadows import ShadowKey, ShadowSums, widened
from apps.monitoring.ingest.staging import DbCursor, Row, Staged
from apps.monitoring.tiling import ROLLED_UP

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
    "lookup_misses",
    "lookup_unread",
)
_REAL = ("latency_sum_ms", "prediction_sum")
_COUNTS = ("errors", "fallback_kinds", "latency", "predictions")
_MERGE = ", ".join(
    [
        *(f"{name} = held.{name} + excluded.{name}" for name in _SUMS),
        *(f"{name} = monitoring_add_counts(held.{name}, excluded.{name})" for name in _COUNTS),
    ]
)
_ALL = ", ".join((*_SUMS, *_COUNTS))
_TRAFFIC_COLUMNS = {
    "second": "int8",
    "endpoint": "text",
    "version_key": "text",
    "variant": "text",
    "phase": "int4",
    **{name: "float8" if name in _REAL else "int8" for name in _SUMS},
    **dict.fromkeys(_COUNTS, "jsonb"),
}

_SHADOW_SUMS = {
    **dict.fromkeys(("rows", "labelled", "agreements", "timed", "dropped"), "int8"),
    **dict.fromkeys(("shift_sum", "shift_squares", "delay_sum_ms", "delay_squares"), "float8"),
}
_SHADOW_COUNTS = ("shifts", "baseline_latency", "shadow_latency", "errors")
_SHADOW_ALL = ", ".join((*_SHADOW_SUMS, *_SHADOW_COUNTS))
_SHADOW_MERGE = ", ".join(
    [
        *(f"{name} = held.{name} + excluded.{name}" for name in _SHADOW_SUMS),
        *(
            f"{name} = monitoring_add_counts(held.{name}, excluded.{name})"
            for name in _SHADOW_COUNTS
        ),
    ]
)

WINDOWS = Staged(
    "new_windows",
    _TRAFFIC_COLUMNS,
    f"""
    INSERT INTO monitoring_trafficwindow AS held
        (endpoint, started_at, version_key, variant, phase, {_ALL})
    SELECT endpoint, to_timestamp(second), version_key, variant, phase, {_ALL}
    FROM new_windows ORDER BY endpoint, second, version_key, variant, phase
    ON CONFLICT (endpoint, started_at, version_key, variant, phase) DO UPDATE SET {_MERGE}
    """,  # noqa: S608  # names of columns, all from this module
)

ROLLUPS = Staged(
    "new_rollups",
    {"width_s": "int2", **_TRAFFIC_COLUMNS},
    f"""
    INSERT INTO monitoring_trafficrollup AS held
        (endpoint, width_s, started_at, version_key, variant, phase, {_ALL})
    SELECT endpoint, width_s, to_timestamp(second), version_key, variant, phase, {_ALL}
    FROM new_rollups ORDER BY endpoint, width_s, second, version_key, variant, phase
    ON CONFLICT (endpoint, width_s, started_at, version_key, variant, phase)
    DO UPDATE SET {_MERGE}
    """,  # noqa: S608  # names of columns, all from this module
)

SHADOWS = Staged(
    "new_shadows",
    {
        "width_s": "int2",
        "start": "int8",
        "endpoint": "text",
        "version_key": "text",
        "baseline_key": "text",
        "segment": "text",
        **_SHADOW_SUMS,
        **dict.fromkeys(_SHADOW_COUNTS, "jsonb"),
    },
    f"""
    INSERT INTO monitoring_shadowwindow AS held
        (endpoint, width_s, started_at, version_key, baseline_key, segment, {_SHADOW_ALL})
    SELECT endpoint, width_s, to_timestamp(start), version_key, baseline_key, segment, {_SHADOW_ALL}
    FROM new_shadows ORDER BY endpoint, width_s, start, version_key, baseline_key, segment
    ON CONFLICT (endpoint, width_s, started_at, version_key, baseline_key, segment)
    DO UPDATE SET {_SHADOW_MERGE}
    """,  # noqa: S608  # names of columns, all from this module
)

REJECTED = Staged(
    "new_rejected",
    {
        "second": "int8",
        "endpoint": "text",
        "reason": "text",
        "feature": "text",
        "count": "int8",
        "faults": "int8",
    },
    """
    INSERT INTO monitoring_rejectedwindow AS held
        (endpoint, started_at, reason, feature, count, faults)
    SELECT endpoint, to_timestamp(second), reason, feature, count, faults
    FROM new_rejected ORDER BY endpoint, second, reason, feature
    ON CONFLICT (endpoint, started_at, reason, feature) DO UPDATE SET
        count = held.count + excluded.count, faults = held.faults + excluded.faults
    """,
)

EXPOSURES = Staged(
    "new_exposures",
    {
        "endpoint": "text",
        "phase": "int4",
        "unit": "text",
        "variant": "text",
        "version_key": "text",
        "experiment_key": "text",
        "rollout_key": "text",
        "first_at": "float8",
        "mixed": "bool",
    },
    """
    INSERT INTO monitoring_exposurerow AS held
        (endpoint, phase, unit, variant, version_key, experiment_key, rollout_key, first_at, mixed)
    SELECT endpoint, phase, unit, variant, version_key, experiment_key, rollout_key,
        to_timestamp(first_at), mixed
    FROM new_exposures ORDER BY endpoint, phase, unit
    ON CONFLICT (endpoint, phase, unit) DO UPDATE SET
        mixed = held.mixed OR excluded.mixed OR held.variant <> excluded.variant,
        first_at = least(held.first_at, excluded.first_at),
        variant = CASE WHEN (excluded.first_at, excluded.variant) < (held.first_at, held.variant)
            THEN excluded.variant ELSE held.variant END,
        version_key = CASE
            WHEN (excluded.first_at, excluded.variant) < (held.first_at, held.variant)
            THEN excluded.version_key ELSE held.version_key END
    WHERE excluded.first_at < held.first_at OR excluded.variant <> held.variant OR excluded.mixed
    """,
)

FAILURES = Staged(
    "new_failures",
    {
        "rollout_key": "text",
        "unit": "text",
        "endpoint": "text",
        "phase": "int4",
        "variant": "text",
        "version_key": "text",
        "kind": "text",
        "share": "float8",
        "occurred_at": "float8",
    },
    """
    INSERT INTO monitoring_unitfailure AS held
        (rollout_key, unit, endpoint, phase, variant, version_key, kind, share, occurred_at)
    SELECT rollout_key, unit, endpoint, phase, variant, version_key, kind, share,
        to_timestamp(occurred_at)
    FROM new_failures ORDER BY rollout_key, unit
    ON CONFLICT (rollout_key, unit) DO UPDATE SET
        endpoint = excluded.endpoint, phase = excluded.phase, variant = excluded.variant,
        version_key = excluded.version_key, kind = excluded.kind, share = excluded.share,
        occurred_at = excluded.occurred_at
    WHERE (excluded.occurred_at, excluded.variant) < (held.occurred_at, held.variant)
    """,
)

PREDICTIONS = Staged(
    "new_predictions",
    {
        "prediction_id": "text",
        "occurred_at": "float8",
        "endpoint": "text",
        "version_key": "text",
        "variant": "text",
        "phase": "int4",
        "generation": "int8",
        "unit": "text",
        "client": "text",
        "prediction": "float8",
        "label": "text",
        "status": "text",
        "cache_hit": "bool",
        "fallback": "text",
        "sample_rate": "float8",
    },
    """
    INSERT INTO monitoring_predictionrow
        (prediction_id, occurred_at, endpoint, version_key, variant, phase, generation, unit,
         client, prediction, label, status, cache_hit, fallback, sample_rate)
    SELECT prediction_id, to_timestamp(occurred_at), endpoint, version_key, variant, phase,
        generation, unit, client, prediction, label, status, cache_hit, fallback, sample_rate
    FROM new_predictions
    ON CONFLICT DO NOTHING
    """,
)

SHADOW_LABELS = Staged(
    "new_shadow_labels",
    {
        "prediction_id": "text",
        "version_key": "text",
        "occurred_at": "float8",
        "endpoint": "text",
        "label": "text",
    },
    """
    INSERT INTO monitoring_shadowprediction
        (prediction_id, version_key, occurred_at, endpoint, label)
    SELECT prediction_id, version_key, to_timestamp(occurred_at), endpoint, label
    FROM new_shadow_labels
    ON CONFLICT DO NOTHING
    """,
)

OUTCOMES = Staged(
    "new_outcomes",
    {
        "client": "text",
        "outcome_id": "text",
        "metric": "text",
        "value": "text",
        "number": "float8",
        "prediction_id": "text",
        "unit": "text",
        "occurred_at": "float8",
        "received_at": "float8",
    },
    """
    INSERT INTO monitoring_outcome
        (client, outcome_id, metric, value, number, prediction_id, unit, state, occurred_at,
         received_at)
    SELECT client, outcome_id, metric, value, number, prediction_id, unit,
        CASE WHEN prediction_id = '' THEN 'by_unit' ELSE 'waiting' END,
        to_timestamp(occurred_at), to_timestamp(received_at)
    FROM new_outcomes ORDER BY client, outcome_id
    ON CONFLICT (client, outcome_id) DO NOTHING
    """,
)


def write(cursor: DbCursor, facts: Facts) -> None:
    """Add facts to the tables. Must run in the transaction that claims their batches.

    Traffic comes last: every worker adds to the rows of the same minute and hour, and waits for
    no longer than it takes to commit.
    """
    for staged, rows in (
        (REJECTED, _rejected(facts) if facts.rejected else None),
        (EXPOSURES, _exposures(facts) if facts.exposures else None),
        (FAILURES, _failures(facts) if facts.failures else None),
        (PREDICTIONS, _predictions(facts) if facts.records else None),
        (SHADOW_LABELS, _shadow_labels(facts) if facts.shadow_labels else None),
        (OUTCOMES, _outcomes(facts) if facts.outcomes else None),
        (SHADOWS, _shadows(facts.shadows) if facts.shadows else None),
        (WINDOWS, _windows(facts.windows) if facts.windows else None),
        (ROLLUPS, _rollups(facts.windows) if facts.windows else None),
    ):
        if rows is not None:
            staged.write(cursor, rows)


def _windows(windows: Windows) -> Iterator[Row]:
    for key, window in windows.items():
        yield _window(key, window)


def _rollups(windows: Windows) -> Iterator[Row]:
    for width_s in ROLLED_UP:
        for key, window in rolled_up(windows, width_s).items():
            yield (width_s, *_window(key, window))


def _window(key: WindowKey, window: Window) -> Row:
    sums = (getattr(window, name) for name in _SUMS)
    counts = (Jsonb(getattr(window, name)) for name in _COUNTS)
    return (*key, *sums, *counts)


def _shadows(minutes: dict[ShadowKey, ShadowSums]) -> Iterator[Row]:
    for width_s in ROLLED_UP:
        for key, found in widened(minutes, width_s).items():
            sums = (getattr(found, name) for name in _SHADOW_SUMS)
            counts = (Jsonb(getattr(found, name)) for name in _SHADOW_COUNTS)
            yield (width_s, *key, *sums, *counts)


def _rejected(facts: Facts) -> Iterator[Row]:
    for key, counts in facts.rejected.items():
        yield (*key, *counts)


def _exposures(facts: Facts) -> Iterator[Row]:
    for first in facts.exposures.values():
        seen = first.exposure
        yield (
            seen.endpoint,
            seen.phase,
            seen.unit,
            seen.variant,
            seen.version,
            seen.experiment,
            seen.rollout,
            seen.at,
            first.mixed,
        )


def _failures(facts: Facts) -> Iterator[Row]:
    for failure in facts.failures.values():
        yield (
            failure.rollout,
            failure.unit,
            failure.endpoint,
            failure.phase,
            failure.variant,
            failure.version,
            failure.kind,
            failure.share,
            failure.at,
        )


def _predictions(facts: Facts) -> Iterator[Row]:
    for record in facts.records.values():
        yield (
            record.prediction_id,
            record.at,
            record.endpoint,
            record.version,
            record.variant,
            record.phase,
            record.generation,
            record.unit,
            record.client,
            record.prediction,
            record.label,
            record.status,
            record.cache_hit,
            record.fallback,
            record.sample_rate,
        )


def _shadow_labels(facts: Facts) -> Iterator[Row]:
    for (prediction_id, version), record in facts.shadow_labels.items():
        yield (prediction_id, version, record.at, record.endpoint, record.label)


def _outcomes(facts: Facts) -> Iterator[Row]:
    for outcome in facts.outcomes.values():
        yield (
            outcome.client,
            outcome.outcome_id,
            outcome.metric,
            value_text(outcome.value),
            None if isinstance(outcome.value, str) else float(outcome.value),
            outcome.prediction_id,
            outcome.unit,
            outcome.at,
            outcome.received_at or outcome.at,
        )
