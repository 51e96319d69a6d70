"""Reads give back what was counted: sums, quantiles, accuracy, failures, exposures."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.monitoring import selectors
from apps.monitoring.errors import PeriodTooLong
from apps.monitoring.ingest import batches, settlement
from contracts.records import Batch, Rejected
from serving.sketches import Sketch
from tests.monitoring import factories
from tests.monitoring.factories import AT, batch, counter, envelope, exposure, outcome, record

pytestmark = pytest.mark.django_db(transaction=True)
SINCE = datetime.fromtimestamp(AT, UTC)
UNTIL = SINCE + timedelta(minutes=10)
SECOND = int(AT)
NOW = UNTIL


def ingest(*sealed: Batch) -> None:
    for one in sealed:
        committed = batches.commit(envelopes=[envelope(one)])
        settlement.settle(committed=committed, boots=[])


def test_traffic__two_variants__summed_apart() -> None:
    stable = counter(variant="stable", requests=9, positives=3, batches=2, batch_rows=9)
    ingest(
        batch(1, counters=(counter(requests=2, errors={"model": 1}), stable)),
        batch(2, counters=(counter(second=SECOND + 1, requests=3),)),
    )
    found = selectors.traffic("flights", SINCE, UNTIL, now=NOW)
    assert (found["canary"].requests, found["canary"].error_rate) == (5, 0.2)
    assert (found["stable"].requests, found["stable"].mean_batch_rows) == (9, 4.5)


def test_traffic__features_not_found__counted_over_seconds() -> None:
    counters = (
        counter(requests=5, lookup_misses=2, lookup_unread=1),
        counter(second=SECOND + 1, requests=3, lookup_misses=1),
    )
    ingest(batch(counters=counters))
    found = selectors.traffic("flights", SINCE, UNTIL, now=NOW)["canary"]
    assert (found.lookup_misses, found.lookup_unread) == (3, 1)


def test_traffic__of_phases__leaves_the_others_out() -> None:
    ingest(batch(counters=tuple(counter(phase=n, requests=10**n) for n in (0, 1, 2))))
    assert selectors.traffic("flights", SINCE, UNTIL, 1, now=NOW)["canary"].requests == 10
    found = selectors.traffic("flights", SINCE, UNTIL, phases=[1, 2], now=NOW)
    assert found["canary"].requests == 110


def test_traffic__begins_within_a_second__counts_that_second() -> None:
    ingest(batch(counters=(counter(requests=4),)))
    later = SINCE + timedelta(milliseconds=700)
    assert selectors.traffic("flights", later, UNTIL, now=NOW)["canary"].requests == 4
    assert selectors.traffic("flights", SINCE + timedelta(seconds=1), UNTIL, now=NOW) == {}


_seq = iter(range(10, 10_000))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parts=st.lists(st.lists(st.floats(0.01, 10_000), min_size=1), min_size=1, max_size=4))
def test_quantiles__of_merged_windows__are_those_of_all_values(
    parts: Sequence[Sequence[float]],
) -> None:
    number = next(_seq)
    for part in parts:
        same = counter(part, endpoint=f"e{number}", requests=len(part))
        ingest(batch(next(_seq), counters=(same,)))
    found = selectors.traffic(f"e{number}", SINCE, UNTIL, now=NOW)["canary"].latency
    union = Sketch.of(value for part in parts for value in part)
    assert [found.quantile(q) for q in (0.5, 0.99)] == [union.quantile(q) for q in (0.5, 0.99)]


def test_series__steps_without_traffic__have_no_rates() -> None:
    counters = (counter([5.0], requests=2, errors={"model": 1}), counter(second=SECOND + 25))
    ingest(batch(counters=counters))
    found = selectors.series("flights", SINCE, SINCE + timedelta(seconds=30), 10, now=NOW)
    line = found[selectors.Line("canary", "flights/2")]
    assert line.requests == [2, 0, 1]
    assert line.error_rate == [0.5, None, 0.0]
    assert line.p99_ms[0] == pytest.approx(5.0, rel=0.01)
    assert line.at == [SINCE + timedelta(seconds=10 * n) for n in range(3)]


def test_series__another_version_in_the_same_role__a_line_of_its_own() -> None:
    old = counter([5.0], variant="stable", version="flights/1")
    new = counter([5.0], variant="stable", version="flights/2", second=SECOND + 10)
    ingest(batch(counters=(old, new)))
    found = selectors.series("flights", SINCE, SINCE + timedelta(seconds=20), 10, now=NOW)
    assert {line.version: points.requests for line, points in found.items()} == {
        "flights/1": [1, 0],
        "flights/2": [0, 1],
    }
    sums = selectors.traffic_by_line("flights", SINCE, UNTIL, now=NOW)
    assert {line.version: one.requests for line, one in sums.items()} == {
        "flights/1": 1,
        "flights/2": 1,
    }


def test_series__too_many_steps__refused() -> None:
    with pytest.raises(PeriodTooLong):
        selectors.series("flights", SINCE, SINCE + timedelta(days=1), 1, now=NOW)


def test_accuracy__some_labels_missing__says_how_many_matured() -> None:
    records = (record("p1"), record("p2"), record("p3"), record("p4", phase=2))
    labels = (outcome("p1"), outcome("p2", value="on time"))
    ingest(batch(records=records, outcomes=labels))
    found = selectors.accuracy("flights", "flights/2", phase=1)
    assert (found.correct, found.total, found.sampled) == (1, 2, 3)
    assert found.matured_share == pytest.approx(2 / 3)


def test_accuracy__errors_and_fallbacks__are_not_the_models_predictions() -> None:
    records = (record(label="", prediction=None, status="model"), record(fallback="default"))
    ingest(batch(records=records))
    assert selectors.accuracy("flights", "flights/2").sampled == 0


def test_performance__of_a_version__by_phase() -> None:
    ingest(batch(records=(record("p1"), record("p2", phase=2)), outcomes=(outcome("p2"),)))
    found = selectors.performance("flights/2")
    assert [(row.phase, row.accuracy.correct) for row in found] == [(2, 1), (1, 0)]


def test_first_failures__arrived_out_of_order__come_in_order() -> None:
    late = factories.failure("u1", at=AT + 2)
    ingest(batch(1, failures=(late,)), batch(2, failures=(factories.failure("u2"),)))
    found = selectors.first_failures("rollout:1")
    assert [(item.unit, item.share) for item in found] == [("u2", 0.05), ("u1", 0.05)]


def test_exposure_counts__unit_in_two_phases__counts_once() -> None:
    seen = [exposure("u1", phase=phase, experiment="experiment:1") for phase in (1, 2)]
    ingest(batch(exposures=(*seen, exposure("u2"))))
    found = selectors.exposure_counts("experiment:1")
    assert {variant: row.units for variant, row in found.items()} == {"canary": 1}


def test_endpoint_totals__rejected_requests__told_apart() -> None:
    refused = Rejected(second=SECOND, endpoint="flights", reason="type", feature="hour", count=2)
    beside = Rejected(
        second=SECOND, endpoint="flights", reason="null", feature="day", count=0, faults=2
    )
    ingest(batch(counters=(counter(requests=4, errors={"model": 1}),), rejected=(refused, beside)))
    found = selectors.endpoint_totals("flights", SINCE, UNTIL)
    assert (found.requests, found.availability, found.rejected) == (4, 0.75, {"type": 2})


def test_ingest_state__rows_lost_by_a_gateway__are_told() -> None:
    ingest(batch(1, dropped=3), batch(2, records=(record(),)))
    found = selectors.ingest_state()
    assert (found.batches, found.dropped, found.pending_lake) == (2, 3, 1)
