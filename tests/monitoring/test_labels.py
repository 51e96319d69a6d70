"""Outcomes find their predictions, in whatever order and by whichever worker both arrive."""

import threading

import pytest
from django.db import connection, transaction

from apps.monitoring.ingest import batches, settlement
from apps.monitoring.models import IngestedBatch, Outcome, PredictionRow
from contracts.records import Batch
from tests.monitoring import factories
from tests.monitoring.factories import AT, batch, envelope, outcome, record

pytestmark = pytest.mark.django_db(transaction=True)


def ingest(*sealed: Batch) -> None:
    for one in sealed:
        committed = batches.commit(envelopes=[envelope(one)])
        settlement.settle(committed=committed, boots=[(one.gateway, one.boot)])


def truth(prediction_id: str = "p1") -> str | None:
    return PredictionRow.objects.get(prediction_id=prediction_id).truth


def states() -> list[str]:
    return list(Outcome.objects.order_by("id").values_list("state", flat=True))


def test_outcome__after_its_prediction__joined() -> None:
    ingest(batch(1, records=(record("p1"),)), batch(2, outcomes=(outcome("p1"),)))
    assert (truth(), states()) == ("late", ["joined"])


def test_outcome__before_its_prediction__waits_and_is_joined() -> None:
    ingest(batch(1, outcomes=(outcome("p1"),)))
    assert states() == ["waiting"]
    ingest(batch(2, records=(record("p1"),)))
    assert (truth(), states()) == ("late", ["joined"])


def test_outcome__of_another_client__refused() -> None:
    ingest(batch(1, records=(record("p1"),)), batch(2, outcomes=(outcome("p1", client="other"),)))
    assert (truth(), states()) == (None, ["refused"])


def test_outcome__of_another_client_and_then_of_the_right_one__right_one_counts() -> None:
    foreign = outcome("p1", client="other", at=AT + 900)
    ingest(batch(1, outcomes=(foreign, outcome("p1"))), batch(2, records=(record("p1"),)))
    assert (truth(), states()) == ("late", ["joined", "refused"])


def test_outcome__sent_twice__kept_once() -> None:
    twice = outcome("p1", outcome_id="same")
    changed = outcome("p1", outcome_id="same", value="on time")
    ingest(batch(1, records=(record("p1"),), outcomes=(twice,)), batch(2, outcomes=(changed,)))
    assert (truth(), states()) == ("late", ["joined"])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_outcome__corrected_later__newest_observation_wins(order: tuple[int, int]) -> None:
    both = (outcome("p1"), outcome("p1", value="on time", at=AT + 600))
    ingest(batch(1, records=(record("p1"),)))
    ingest(*(batch(seq, outcomes=(both[which],)) for seq, which in enumerate(order, start=2)))
    assert truth() == "on time"


def test_outcome__number_for_a_label__reads_as_the_label_does() -> None:
    ingest(batch(1, records=(record("p1", label="1"),), outcomes=(outcome("p1", value=1.0),)))
    assert truth() == "1"


def test_outcome__by_unit__kept_for_experiments() -> None:
    ingest(batch(1, outcomes=(outcome(unit="u1", metric="revenue", value=12.5),)))
    row = Outcome.objects.get()
    assert (row.state, row.unit, row.number) == ("by_unit", "u1", 12.5)


def test_join__record_and_outcome_committed_by_two_workers_at_once__found() -> None:
    """Neither transaction sees the other's row; the later settlement must."""
    inside, go_on = threading.Event(), threading.Event()

    def other() -> None:
        try:
            with transaction.atomic():
                committed = batches.commit(envelopes=[envelope(batch(1, records=(record("p1"),)))])
                inside.set()
                go_on.wait(10)
            settlement.settle(committed=committed, boots=[])
        finally:
            connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    ingest(batch(2, outcomes=(outcome("p1"),)))
    assert states() == ["waiting"]
    go_on.set()
    thread.join()
    assert truth() == "late"


def test_join__worker_died_after_its_commit__finished_by_another() -> None:
    batches.commit(envelopes=[envelope(batch(1, records=(record("p1"),)))])
    batches.commit(envelopes=[envelope(batch(2, outcomes=(outcome("p1"),)))])
    assert settlement.settle_forgotten(older_than_s=0) == 2
    assert truth() == "late"
    assert not IngestedBatch.objects.filter(joins_pending=True).exists()


def test_record__twice_in_different_batches__kept_once() -> None:
    same = record("p1")
    ingest(batch(1, records=(same,)), batch(2, records=(same, factories.record("p2"))))
    assert PredictionRow.objects.count() == 2
