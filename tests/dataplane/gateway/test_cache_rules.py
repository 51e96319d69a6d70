"""The cache without a gateway around it: what is kept, how long, and when it pays."""

import math
from typing import Any

import pytest

from benchmarks import rig
from contracts.policy import Cache, Lookup, LookupFeature, Policy
from contracts.schema import Labelling
from dataplane.gateway.cache import JUDGED_S, EndpointCache, Entry, HitRate, Keys
from serving.labels import Answer
from tests.dataplane.gateway.rows import row

ANSWER = Answer(0.5, 1, "late", 0.5)
NOW = 1_000.0


def key_of(values: tuple[Any, ...] = (1.0,), user: str = "u1", **changes: Any) -> bytes:
    made = row(values, user=user, **changes)
    return Keys(made.endpoint, made.variant).of(made)


def cache(uniform: float = 0.5, **changes: Any) -> EndpointCache:
    return EndpointCache("rig", Cache(**{"ttl_s": 10, "stale_s": 20, **changes}), lambda: uniform)


def entry(made_at: float = NOW, took_s: float = 0.0) -> Entry:
    return Entry(made_at, took_s, ANSWER, b"")


def test_key__what_decides_the_answer__decides_the_key() -> None:
    other = rig.variant(1, "127.0.0.1:9", labelling=Labelling(labels={}, threshold=0.4))
    second = rig.variant(2, "127.0.0.1:9")
    keys = [
        key_of(),
        key_of((2.0,)),
        key_of((None,)),
        key_of(("1.0",)),
        key_of(variants=(other,)),
        key_of(variants=(second,)),
    ]
    assert len(set(keys)) == len(keys)


def test_key__what_does_not__does_not() -> None:
    moved = rig.variant(1, "elsewhere:1", key="canary")
    assert key_of() == key_of(user="u2") == key_of(variants=(moved,), salt="other", phase=7)


def test_key__features_looked_up__belong_to_the_unit() -> None:
    policy = Policy(lookup=Lookup(features=(LookupFeature(name="x0"),)))
    assert key_of(policy=policy) != key_of(policy=policy, user="u2")


def test_entry__fresh_then_stale_then_gone() -> None:
    kept = cache(uniform=0.0)
    kept.put(b"k", entry())
    assert kept.look(row(), NOW + 9.9).entry
    assert kept.look(row(), NOW + 10).leads
    assert kept.stale(b"k", NOW + 29.9)
    assert kept.stale(b"k", NOW + 30) is None


def test_entries__more_than_the_bound__drop_the_least_recently_used() -> None:
    kept = cache(entries=2)
    for key in (b"a", b"b"):
        kept.put(key, entry())
    kept.look(row(key=b"a"), NOW)
    kept.put(b"c", entry())
    assert len(kept) == 2
    assert kept.stale(b"b", NOW) is None
    assert kept.stale(b"a", NOW)


def test_equal_questions__first_leads__others_wait_for_it() -> None:
    kept = cache()
    leader, follower, late = row(), row(), row()
    assert kept.look(leader, NOW).leads
    assert [kept.look(each, NOW).leads for each in (follower, late)] == [False, False]
    late.closed = True
    assert kept.release(leader) == [follower]
    assert kept.look(row(), NOW).leads


@pytest.mark.parametrize(("uniform", "early"), [(0.5, False), (1 - math.exp(-4), True)])
def test_early_expiry__one_draw_in_many__asks_again_before_the_end(
    uniform: float, early: bool
) -> None:
    """0.5 s to make, 1.5 s left: early when -ln(u) is at least 3."""
    kept = cache(uniform=uniform)
    kept.put(b"k", entry(took_s=0.5))
    assert kept.look(row(), NOW + 8.5).early is early
    assert kept.look(row(), NOW + 8.5).entry is not None, "others are served meanwhile"


def test_early_expiry__beta_nought__never() -> None:
    kept = cache(uniform=1 - 1e-15, beta=0.0)
    kept.put(b"k", entry(took_s=5.0))
    assert not kept.look(row(), NOW + 9.999).early


def count(rate: HitRate, hits: int, rows: int, start: float) -> list[bool]:
    """So many rows over a little more than a window."""
    step = (JUDGED_S + 1) / rows
    return [rate.count(number < hits, start + number * step) for number in range(rows)]


def test_hit_rate__below_five_percent__switches_off_for_a_while() -> None:
    rate = HitRate()
    assert not all(count(rate, 40, 1_000, NOW))
    assert rate.last == pytest.approx(0.04, abs=0.001)
    over = NOW + JUDGED_S + 1
    assert not rate.is_on(over)
    assert rate.is_on(over + rate.pause_s)


def test_hit_rate__enough_hits_or_too_few_rows__stays_on() -> None:
    assert all(count(HitRate(), 60, 1_000, NOW))
    assert all(count(HitRate(), 0, 900, NOW))
