"""Where answers came from."""

from datetime import timedelta

import pytest

from apps.monitoring.answers import answers_of
from apps.monitoring.ingest import batches, settlement
from tests.monitoring.factories import AT, batch, counter, envelope, record
from tests.monitoring.test_selectors import SINCE

pytestmark = pytest.mark.django_db


def test_answers__cache_and_fallbacks__rates_and_sampled_kinds() -> None:
    counted = counter([5.0], requests=10, cache_hits=3, fallbacks=4)
    kinds = ("stale", "stale", "stale", "variant:backup", "")
    records = tuple(record(f"p{n}", at=AT, fallback=kind) for n, kind in enumerate(kinds))
    sealed = envelope(batch(1, counters=(counted,), records=records))
    settlement.settle(committed=batches.commit(envelopes=[sealed]), boots=[])
    found = answers_of("flights", SINCE, SINCE + timedelta(minutes=1))
    assert (found.hit_rate, found.fallback_share) == (0.3, 0.4)
    assert [(kind.name, kind.share) for kind in found.kinds] == [
        ("a stale answer", 0.75),
        ("backup", 0.25),
    ]


def test_answers__no_traffic__nothing_is_claimed() -> None:
    found = answers_of("flights", SINCE, SINCE + timedelta(minutes=1))
    assert (found.hit_rate, found.fallback_share, found.kinds) == (None, None, ())
