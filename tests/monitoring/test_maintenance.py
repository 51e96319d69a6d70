"""Roll-ups, expiry, partitions and retention: nothing is lost that should be kept."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.db import connection

from apps.monitoring import partitions, selectors, services, tasks
from apps.monitoring.ingest import batches, settlement
from apps.monitoring.models import (
    GatewayBoot,
    IngestedBatch,
    PredictionRow,
    TrafficRollup,
    TrafficWindow,
)
from contracts.records import Batch
from tests.monitoring.factories import AT, BOOT, GATEWAY, batch, counter, envelope, record

pytestmark = pytest.mark.django_db(transaction=True)
SINCE = datetime.fromtimestamp(AT, UTC)
LATER = SINCE + timedelta(hours=2)


def ingest(*sealed: Batch) -> None:
    for one in sealed:
        committed = batches.commit(envelopes=[envelope(one)])
        settlement.settle(committed=committed, boots=[(one.gateway, one.boot)])


def partition_of(model: type[TrafficWindow] | type[PredictionRow]) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT tableoid::regclass::text FROM {model._meta.db_table}")  # noqa: S608  # our own table
        return {row[0] for row in cursor.fetchall()}


def test_rollups__seconds_of_three_minutes__have_the_same_sums() -> None:
    seconds = [counter([float(n + 1)], second=int(AT) + n, errors={"model": 1}) for n in range(90)]
    ingest(batch(counters=tuple(seconds)))
    minutes = TrafficRollup.objects.filter(width_s=60).order_by("started_at")
    assert [row.requests for row in minutes] == [20, 60, 10]
    hour = TrafficRollup.objects.get(width_s=3600)
    assert (hour.requests, hour.failed, sum(hour.latency.values())) == (90, 90, 90)


def test_expiry__of_seconds__leaves_every_sum_as_it_was() -> None:
    seconds = [counter([float(n + 1)], second=int(AT) + n, errors={"model": 1}) for n in range(90)]
    ingest(batch(counters=tuple(seconds)))
    before = selectors.traffic("flights", SINCE, LATER, now=SINCE)
    assert services.expire_seconds(now=LATER) == 90
    assert not TrafficWindow.objects.exists()
    assert selectors.traffic("flights", SINCE, LATER, now=LATER) == before


def test_expiry__young_seconds__stay() -> None:
    ingest(batch(counters=(counter(),)))
    assert services.expire_seconds(now=SINCE + timedelta(minutes=50)) == 0


def test_second__that_came_after_its_expiry__still_counts() -> None:
    ingest(batch(1, counters=(counter(),)))
    services.expire_seconds(now=LATER)
    ingest(batch(2, counters=(counter(requests=2),)))
    found = selectors.traffic("flights", SINCE, LATER, 1, now=LATER)
    assert found["canary"].requests == 3


def test_facts__of_today__lie_in_the_partition_of_their_day() -> None:
    now = datetime.now(UTC)
    ingest(batch(counters=(counter(second=int(now.timestamp())),)))
    assert partition_of(TrafficWindow) == {f"monitoring_trafficwindow_{now:%Y%m%d}"}


def test_facts__of_a_gateway_with_a_broken_clock__are_kept_apart() -> None:
    ingest(batch(records=(record(at=4e9),)))
    assert partition_of(PredictionRow) == {"monitoring_predictionrow_other"}


def test_partition__made_late__takes_its_rows_from_the_default_one() -> None:
    day = date(2031, 5, 6)
    at = datetime(2031, 5, 6, 12, tzinfo=UTC)
    ingest(batch(records=(record("p1", at=at.timestamp()), record("p2", at=4e9))))
    partitions.ensure(day)
    assert partition_of(PredictionRow) == {
        "monitoring_predictionrow_20310506",
        "monitoring_predictionrow_other",
    }
    drop(day)


def test_retention__partitions_before_a_day__dropped() -> None:
    old = datetime.now(UTC).date() - timedelta(days=200)
    at = datetime(old.year, old.month, old.day, tzinfo=UTC).timestamp()
    ingest(batch(records=(record(at=at), record(at=datetime.now(UTC).timestamp()))))
    dropped = services.drop_expired(
        today=datetime.now(UTC).date(), traffic_days=150, prediction_days=150
    )
    assert dropped >= 2
    assert PredictionRow.objects.count() == 1


def test_retention__of_yesterday__refused_by_the_database(
    app_role: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="less than two days"):
        app_role.execute(
            "SELECT monitoring_drop_partitions('monitoring_predictionrow', current_date)"
        )


def test_partition_function__of_another_table__refused(
    app_role: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="not a partitioned table"):
        app_role.execute("SELECT monitoring_drop_partitions('events_event', '2020-01-01')")


def test_partition__made_by_the_runtime_role__is_writable_by_it(
    app_role: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    app_role.execute("SELECT monitoring_ensure_partition('monitoring_trafficwindow', '2031-05-07')")
    app_role.execute("DELETE FROM monitoring_trafficwindow_20310507")
    drop(date(2031, 5, 7))


def test_prune__old_batches_without_a_gap__still_count_as_seen() -> None:
    sealed = [batch(seq, counters=(counter(),)) for seq in (1, 2, 4)]
    ingest(*sealed)
    now = datetime.now(UTC) + timedelta(days=8)
    assert services.prune_batches(now=now) == 2
    assert GatewayBoot.objects.get().pruned_seq == 2
    ingest(*sealed, batch(3, counters=(counter(),)))
    assert sum(TrafficWindow.objects.values_list("requests", flat=True)) == 4
    ahead = settlement.settle(committed=batches.Committed(), boots=[(GATEWAY, BOOT)])
    assert ahead == {(GATEWAY, BOOT): 4}


def test_prune__records_not_in_the_lake_yet__are_kept() -> None:
    ingest(batch(1), batch(2, records=(record(),)))
    services.prune_batches(now=datetime.now(UTC) + timedelta(days=8))
    assert IngestedBatch.objects.get().seq == 2


def test_tasks__as_beat_calls_them__make_tomorrows_partitions() -> None:
    tasks.maintain_partitions()
    tasks.expire_seconds()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"monitoring_predictionrow_{tomorrow:%Y%m%d}"])
        assert cursor.fetchone() != (None,)


def drop(day: date) -> None:
    """Take a partition of the future away again: the tests' database outlives the test."""
    with connection.cursor() as cursor:
        for table in partitions.TABLES:
            cursor.execute(f"DROP TABLE IF EXISTS {table}_{day:%Y%m%d}")
