"""Daily partitions of the big tables, made ahead of time and dropped by retention.

What lies outside every partition (a gateway with a broken clock) goes to the default one.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.db import connection

TRAFFIC = "monitoring_trafficwindow"
PREDICTIONS = "monitoring_predictionrow"
ROLLUPS = "monitoring_trafficrollup"
SHADOWS = "monitoring_shadowwindow"
SHADOW_PREDICTIONS = "monitoring_shadowprediction"
TABLES = (TRAFFIC, ROLLUPS, PREDICTIONS, SHADOWS, SHADOW_PREDICTIONS)
EPOCH = date(1970, 1, 1)
BACK_DAYS, AHEAD_DAYS = 400, 3

_known: set[date] = set()


def ensure_days(days: Iterable[int]) -> None:
    """Make the partitions of days (counted from 1970) that lie within reason."""
    today = datetime.now(UTC).date()
    for number in sorted(set(days)):
        if -BACK_DAYS <= number - (today - EPOCH).days <= AHEAD_DAYS:
            ensure(EPOCH + timedelta(days=number))


def ensure(day: date) -> None:
    """Make the partitions of one UTC day, unless this process knows that they are there."""
    if day in _known:
        return
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute("SELECT monitoring_ensure_partition(%s, %s)", [table, day])
    if not connection.in_atomic_block:
        _known.add(day)


def drop_before(table: str, day: date) -> int:
    """Drop partitions of days before `day`, at least two days ago; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '3s'")
        cursor.execute("SELECT monitoring_drop_partitions(%s, %s)", [table, day])
        row = cursor.fetchone()
    return int(row[0]) if row else 0
