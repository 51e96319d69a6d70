"""A shadow's labels and the served version's, held against the truth once it arrives."""

import math
from datetime import UTC, datetime, timedelta
from math import comb

import pytest

from apps.monitoring import selectors
from apps.monitoring.ingest import batches, settlement
from apps.monitoring.models import ShadowPrediction
from apps.monitoring.paired import PairedAccuracy
from contracts.records import Batch, Comparison
from tests.monitoring.factories import AT, batch, envelope, outcome, record

SINCE = datetime.fromtimestamp(AT, UTC)
# Labels of the served version, of the shadow, and the truth where it is known.
ROWS = [
    ("late", "late", "late"),
    ("late", "on_time", "on_time"),
    ("late", "on_time", "on_time"),
    ("late", "on_time", "late"),
    ("late", "on_time", "never"),
    ("late", "late", None),
]


def ingest(*sealed: Batch) -> None:
    committed = batches.commit(envelopes=[envelope(one) for one in sealed])
    settlement.settle(committed=committed, boots=[])


@pytest.mark.django_db(transaction=True)
def test_truth__labels_that_arrived__are_held_against_both_versions() -> None:
    served = [record(f"p{n}", label=said) for n, (said, _, _) in enumerate(ROWS)]
    shadows = [
        record(f"p{n}/s", at=AT + 1, version="flights/3", label=said, shadow_of=f"p{n}")
        for n, (_, said, _) in enumerate(ROWS)
    ]
    failed = record("p0/t", version="flights/4", label="", status="model", shadow_of="p0")
    alone = record("p9/s", version="flights/3", shadow_of="p9")  # of what is not here
    truths = [outcome(f"p{n}", value=truth) for n, (_, _, truth) in enumerate(ROWS) if truth]
    compared = Comparison(
        second=int(AT), endpoint="flights", shadow="flights/3", baseline="flights/2", rows=6
    )
    ingest(batch(1, records=(*shadows, failed, alone), comparisons=(compared,)))
    ingest(batch(2, records=tuple(served)), batch(3, outcomes=tuple(truths)))
    assert ShadowPrediction.objects.count() == len(ROWS) + 1  # what failed gave no label
    (found,) = selectors.shadow_comparison("flights", None, SINCE, until=SINCE + timedelta(hours=1))
    assert found.truth == PairedAccuracy(
        sampled=6, both=1, shadow_only=2, baseline_only=1, neither=1
    )
    assert (found.truth.shadow.share, found.truth.baseline.share) == (3 / 5, 2 / 5)
    assert found.truth.shadow.matured_share == 5 / 6


def test_difference__of_known_counts__is_the_formula() -> None:
    found = PairedAccuracy(sampled=100, both=60, shadow_only=20, baseline_only=10, neither=10)
    interval = found.difference_interval
    assert found.difference == pytest.approx(0.1)
    assert interval is not None
    p, q = 21 / 102, 11 / 102
    half = 1.959964 * math.sqrt((p + q - (p - q) ** 2) / 102)
    assert (interval.low, interval.high) == pytest.approx((p - q - half, p - q + half))


@pytest.mark.parametrize("shares", [(0.1, 0.1), (0.15, 0.05), (0.02, 0.01)])
def test_difference__every_outcome_of_fifty_rows__is_covered_as_said(
    shares: tuple[float, float],
) -> None:
    p, q = shares
    rows = 50
    covered = 0.0
    for b in range(rows + 1):
        for c in range(rows + 1 - b):
            same = rows - b - c
            found = PairedAccuracy(both=same, shadow_only=b, baseline_only=c).difference_interval
            assert found is not None
            if found.low <= p - q <= found.high:
                chance = comb(rows, b) * comb(rows - b, c) * p**b * q**c * (1 - p - q) ** same
                covered += chance
    assert covered >= 0.94


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, ""),
        ({"sampled": 40}, "No label has arrived yet for the 40 sampled rows."),
        ({"sampled": 40, "both": 30}, "By 30 labels neither version is more often right."),
        (
            {"sampled": 60, "shadow_only": 30, "both": 30},
            "By 60 labels the shadow is more often right.",
        ),
        ({"sampled": 30, "baseline_only": 30}, "By 30 labels the shadow is less often right."),
    ],
)
def test_sentence__says_what_labels_allow(counts: dict[str, int], words: str) -> None:
    assert PairedAccuracy(**counts).sentence == words
