"""Where answers came from."""

from datetime import timedelta

import pytest
from django.template.loader import render_to_string

from apps.monitoring.answers import answers_of
from apps.monitoring.ingest import batches
from apps.monitoring.selectors import endpoint_totals
from contracts.records import Rejected
from tests.monitoring.factories import AT, batch, counter, envelope
from tests.monitoring.test_selectors import SINCE

pytestmark = pytest.mark.django_db


def test_answers__cache_and_fallbacks__are_exact_by_kind_in_the_order_of_the_chain() -> None:
    one = counter(requests=6, cache_hits=3, fallbacks=3, fallback_kinds={"default": 1, "stale": 2})
    other = counter(requests=4, fallbacks=1, fallback_kinds={"stale": 1, "503": 2}, variant="b")
    batches.commit(
        envelopes=[envelope(batch(1, counters=(one, one))), envelope(batch(2, counters=(other,)))]
    )
    found = answers_of("flights", SINCE, SINCE + timedelta(minutes=1))
    assert (found.requests, found.cache_hits, found.fallbacks) == (16, 6, 7)
    assert [(kind.name, kind.count, kind.share) for kind in found.kinds] == [
        ("stale answers", 5, 5 / 16),
        ("the default", 2, 2 / 16),
        ("nothing (503)", 2, 2 / 16),
    ]


def test_answers__refused_features__are_told_by_feature_and_fault() -> None:
    bad = [
        ("feature_type", "x0", 2, 5),
        ("feature_null", "x0", 0, 1),
        ("feature_unknown", "", 0, 3),
        ("unauthenticated", "", 4, 0),
    ]
    rejected = tuple(
        Rejected(
            second=int(AT), endpoint="flights", reason=r, feature=f, count=count, faults=faults
        )
        for r, f, count, faults in bad
    )
    batches.commit(envelopes=[envelope(batch(1, rejected=rejected))])
    totals = endpoint_totals("flights", SINCE, SINCE + timedelta(minutes=1))
    assert totals.rejected == {"feature_type": 2, "unauthenticated": 4}
    assert totals.feature_faults == {"": {"unknown": 3}, "x0": {"null": 1, "type": 5}}
    found = answers_of("flights", SINCE, SINCE + timedelta(minutes=1))
    html = " ".join(render_to_string("monitoring/_answers.html", {"answers": found}).split())
    assert "<code>x0</code> type 5, unknown names unknown 3, <code>x0</code> null 1." in html


def test_answers__no_traffic__nothing_is_claimed() -> None:
    found = answers_of("flights", SINCE, SINCE + timedelta(minutes=1))
    assert (found.hit_rate, found.fallback_share, found.kinds) == (None, None, ())
