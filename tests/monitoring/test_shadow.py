"""A shadow beside what was served: folded, stored once, and judged with its doubt."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from apps.monitoring import selectors
from apps.monitoring.ingest import batches
from apps.monitoring.ingest.parquet import table
from apps.monitoring.models import PendingRecords, PredictionRow, ShadowWindow, TrafficWindow
from apps.monitoring.shadow import ENOUGH_ROWS, ShadowTraffic, by_agreement
from contracts.records import Batch, Comparison
from serving.sketches import Sketch, bin_of
from tests.monitoring.factories import AT, batch, counter, envelope, record

SINCE = datetime.fromtimestamp(AT, UTC)
LATER = SINCE + timedelta(hours=3)


def comparison(**values: Any) -> Comparison:
    """200 rows of one second, 190 with the same label, the scores 0.01 higher."""
    fields: dict[str, Any] = {
        "second": int(AT),
        "endpoint": "flights",
        "shadow": "flights/3",
        "baseline": "flights/2",
        "rows": 200,
        "labelled": 200,
        "agreements": 190,
        "shift_sum": 2.0,
        "shift_squares": 0.5,
        "shifts": {bin_of(0.05): 200},
        "timed": 200,
        "delay_sum_ms": 100.0,
        "delay_squares": 90.0,
        "baseline_latency": {bin_of(2.0): 200},
        "shadow_latency": {bin_of(3.0): 200},
    }
    return Comparison(**fields | values)


def ingest(*sealed: Batch) -> None:
    for one in sealed:
        batches.commit(envelopes=[envelope(one)])


def found(**wanted: Any) -> list[selectors.ShadowComparison]:
    return selectors.shadow_comparison("flights", "flights/3", SINCE, until=LATER, **wanted)


@pytest.mark.django_db(transaction=True)
def test_comparison__delivered_twice_and_from_two_gateways__counts_each_once() -> None:
    one = batch(1, comparisons=(comparison(errors={"timeout": 3}), comparison(dropped=5)))
    other = batch(1, gateway="gateway-2", comparisons=(comparison(errors={"timeout": 1}),))
    ingest(one, one, other)
    (only,) = found()
    assert (only.endpoint, only.version, only.baseline) == ("flights", "flights/3", "flights/2")
    assert (only.traffic.rows, only.traffic.agreements) == (600, 570)
    assert (only.traffic.errors, only.traffic.dropped) == ({"timeout": 4}, 5)
    assert only.traffic.shadow_latency.count == 600
    assert ShadowWindow.objects.filter(width_s=3_600).count() == 1


@pytest.mark.django_db(transaction=True)
def test_comparison__over_three_hours__sums_minutes_and_hours_without_overlap() -> None:
    seconds = range(int(AT), int(AT) + 3 * 3_600, 600)
    ingest(batch(comparisons=tuple(comparison(second=each) for each in seconds)))
    assert found()[0].traffic.rows == 200 * len(seconds)
    late = selectors.shadow_comparison("flights", "flights/3", LATER - timedelta(hours=1))
    assert late[0].traffic.rows == 200 * 6


@pytest.mark.django_db(transaction=True)
def test_comparison__segments__come_beside_all_rows_the_worst_first() -> None:
    ingest(
        batch(
            comparisons=(
                comparison(),
                comparison(segment="carrier=AA", rows=150, labelled=150, agreements=149),
                comparison(segment="carrier=\x00", rows=120, labelled=120, agreements=60),
                comparison(segment="carrier=UA", rows=10, labelled=10, agreements=1),
            )
        )
    )
    (only,) = found()
    assert only.traffic.rows == 200
    names = [each.name for each in only.segments]
    assert names == ["carrier=\N{REPLACEMENT CHARACTER}", "carrier=AA", "carrier=UA"]
    (one,) = found(segment="carrier=AA")
    assert [each.name for each in one.segments] == ["carrier=AA"]


@pytest.mark.django_db(transaction=True)
def test_shadow__its_rows__are_no_served_traffic() -> None:
    shadowed = record("p1/shadow", variant="shadow", version="flights/3", shadow_of="p1")
    ingest(batch(counters=(counter(),), records=(record("p1"), shadowed)))
    assert [row.prediction_id for row in PredictionRow.objects.all()] == ["p1"]
    assert TrafficWindow.objects.get().requests == 1
    assert not selectors.performance("flights/3")
    assert PendingRecords.objects.count() == 1


def test_lake__record_of_a_shadow__names_the_prediction_it_shadowed() -> None:
    columns = table([record("p1"), record("p1/shadow", shadow_of="p1", route="r", asked="a")])
    assert columns["shadow_of"].to_pylist() == ["", "p1"]
    assert columns["route"].to_pylist() == ["", "r"]


def test_figures__of_many_rows__are_the_textbooks() -> None:
    shifts = np.random.default_rng(5).normal(0.01, 0.1, 400)
    traffic = ShadowTraffic(
        rows=400,
        labelled=400,
        agreements=380,
        shift_sum=float(shifts.sum()),
        shift_squares=float((shifts**2).sum()),
        shifts=Sketch.of(np.abs(shifts).tolist()),
    )
    share, shift = traffic.agreement_interval, traffic.shift_interval
    assert share is not None
    assert shift is not None
    wilson = stats.binomtest(380, 400).proportion_ci(method="wilson")
    assert (share.low, share.high) == pytest.approx((wilson.low, wilson.high))
    normal = stats.norm.interval(0.95, shifts.mean(), stats.sem(shifts))
    assert (shift.low, shift.high) == pytest.approx(normal)
    assert traffic.shift_p95 == pytest.approx(np.quantile(np.abs(shifts), 0.95), rel=0.03)


def test_figures__too_few_rows__have_no_interval_and_say_so() -> None:
    few = ShadowTraffic(rows=ENOUGH_ROWS - 1, labelled=ENOUGH_ROWS - 1, agreements=90)
    assert not few.enough
    assert (few.agreement_interval, few.shift_interval, few.delay_interval) == (None, None, None)
    comparison = selectors.ShadowComparison(
        endpoint="flights", version="flights/3", baseline="flights/2", traffic=few
    )
    assert comparison.sentence == "Not enough rows: 99 of the 100 that a comparison needs."


def test_figures__no_row_at_all__are_none() -> None:
    nothing = ShadowTraffic()
    assert (nothing.agreement, nothing.mean_shift, nothing.mean_delay_ms) == (None, None, None)
    assert nothing.error_share is None


def test_sums__of_two__are_those_of_all_rows() -> None:
    one = ShadowTraffic(rows=3, errors={"model": 1}, shifts=Sketch({1: 2}))
    both = one + ShadowTraffic(rows=4, errors={"model": 2, "timeout": 1}, shifts=Sketch({1: 1}))
    assert (both.rows, both.errors, both.shifts.bins) == (7, {"model": 3, "timeout": 1}, {1: 3})
    assert both.error_share == pytest.approx(4 / 11)


def test_segments__without_labels__the_greatest_shift_first() -> None:
    many: dict[str, Any] = {"rows": ENOUGH_ROWS, "shift_squares": 1.0}
    found = by_agreement(
        {
            "a=1": ShadowTraffic(**many, shift_sum=1.0),
            "a=2": ShadowTraffic(**many, shift_sum=-9.0),
            "a=3": ShadowTraffic(rows=1, shift_sum=50.0),
        }
    )
    assert [each.name for each in found] == ["a=2", "a=1", "a=3"]
