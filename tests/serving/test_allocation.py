"""Who gets which variant: exact weights, the fewest moves, nobody evicted while a ramp grows."""

from collections import Counter
from collections.abc import Sequence

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.routing import BUCKETS, BucketRange
from serving.allocation import (
    AllocationError,
    Ranges,
    allocate,
    bucket_of,
    check_ranges,
    compile_ranges,
    moved,
    reallocate,
    rename,
    variant_at,
    weights_of,
)

KEYS = ("stable", "canary", "arm-b", "arm-c")
QUICK = settings(max_examples=60, deadline=None)


@st.composite
def weightings(draw: st.DrawFn) -> dict[str, int]:
    """Weights of up to four variants that sum to 10,000, some of them zero."""
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
    cuts = draw(st.lists(st.integers(0, BUCKETS), min_size=len(keys) - 1, max_size=len(keys) - 1))
    edges = [0, *sorted(cuts), BUCKETS]
    return {key: edges[n + 1] - edges[n] for n, key in enumerate(keys)}


@st.composite
def histories(draw: st.DrawFn) -> Ranges:
    """Ranges as some reallocations leave them: in pieces."""
    ranges: Ranges = ()
    for weights in draw(st.lists(weightings(), min_size=1, max_size=4)):
        ranges = reallocate(ranges, weights)
    return ranges


def distance(before: dict[str, int], after: dict[str, int]) -> int:
    """Half the L1 distance of two weightings."""
    return sum(abs(before.get(key, 0) - after.get(key, 0)) for key in {*before, *after}) // 2


def held_by(ranges: Sequence[BucketRange], key: str) -> set[int]:
    return {b for item in ranges if item.variant == key for b in range(item.start, item.stop)}


@QUICK
@given(before=histories(), weights=weightings())
def test_reallocate__any_weights__held_exactly(before: Ranges, weights: dict[str, int]) -> None:
    after = reallocate(before, weights)
    check_ranges(after)
    assert weights_of(after) == {key: weight for key, weight in weights.items() if weight}


@QUICK
@given(before=histories(), weights=weightings())
def test_reallocate__any_weights__fewest_buckets_move(
    before: Ranges, weights: dict[str, int]
) -> None:
    after = reallocate(before, weights)
    assert moved(before, after) == distance(weights_of(before), weights)


@QUICK
@given(before=histories(), weights=weightings())
def test_reallocate__variant_that_does_not_lose__keeps_every_bucket(
    before: Ranges, weights: dict[str, int]
) -> None:
    after, had = reallocate(before, weights), weights_of(before)
    for key, weight in weights.items():
        if weight >= had.get(key, 0):
            assert held_by(before, key) <= held_by(after, key)


@QUICK
@given(steps=st.lists(st.integers(1, BUCKETS), min_size=2, max_size=6, unique=True))
def test_ramp__growing__never_takes_a_user_off_the_candidate(steps: list[int]) -> None:
    ranges = allocate({"stable": BUCKETS})
    held: set[int] = set()
    for weight in sorted(steps):
        ranges = reallocate(ranges, {"stable": BUCKETS - weight, "canary": weight})
        assert held <= held_by(ranges, "canary")
        held = held_by(ranges, "canary")


@QUICK
@given(before=histories(), weights=weightings())
def test_rollback__stored_ranges__bring_back_every_user(
    before: Ranges, weights: dict[str, int]
) -> None:
    after = reallocate(before, weights)
    stored = tuple(BucketRange(*item) for item in [(r.start, r.stop, r.variant) for r in before])
    assert moved(after, stored) == moved(before, after)
    assert compile_ranges(stored, KEYS) == compile_ranges(before, KEYS)


def test_rollback__by_weights_instead__would_not() -> None:
    before = allocate({"a": 2_000, "b": 7_000, "c": 1_000})
    away = reallocate(before, {"a": 1_000, "b": 3_000, "c": 6_000})
    back = reallocate(away, weights_of(before))
    assert weights_of(back) == weights_of(before)
    assert moved(before, back) == 3_000


@QUICK
@given(ranges=histories())
def test_compile__any_ranges__each_bucket_its_owner(ranges: Ranges) -> None:
    owners = compile_ranges(ranges, KEYS)
    assert len(owners) == BUCKETS
    for bucket in (0, 1, 4_999, BUCKETS - 1, *(item.start for item in ranges)):
        assert KEYS[owners[bucket]] == variant_at(ranges, bucket)


@QUICK
@given(ranges=histories())
def test_rename__canary_becomes_stable__moves_nobody(ranges: Ranges) -> None:
    names = {"canary": "champion"}
    renamed = rename(ranges, names)
    check_ranges(renamed)
    assert held_by(renamed, "champion") == held_by(ranges, "canary")


@pytest.mark.parametrize(
    ("salt", "unit", "bucket"), [("s", "u1", 6046), ("s", "u2", 4912), ("", "", 6284)]
)
def test_bucket__golden__never_changes(salt: str, unit: str, bucket: int) -> None:
    assert bucket_of(salt, unit) == bucket


def test_hash__of_nothing__is_the_published_vector() -> None:
    assert xxhash.xxh3_64_intdigest(b"") == 0x2D06800538D394C2


@given(salt=st.text(max_size=20), unit=st.text(max_size=40))
def test_bucket__any_unit__in_range_and_sticky(salt: str, unit: str) -> None:
    assert 0 <= bucket_of(salt, unit) < BUCKETS
    assert bucket_of(salt, unit) == bucket_of(salt, unit)


def test_bucket__many_units__spread_evenly() -> None:
    counts = Counter(bucket_of("salt", f"user-{n}") // 500 for n in range(20_000))
    chi2 = sum((count - 1_000) ** 2 / 1_000 for count in counts.values())
    assert chi2 < 43.8  # chi2(19), p = .001


def test_bucket__another_salt__other_users_first() -> None:
    first = {n for n in range(20_000) if bucket_of("one", str(n)) < 500}
    second = {n for n in range(20_000) if bucket_of("two", str(n)) < 500}
    assert len(first & second) < 90  # 5 % of 5 % of 20,000 is 50


@pytest.mark.parametrize(
    "weights", [{}, {"a": 9_999}, {"a": 10_001}, {"a": 10_001, "b": -1}, {"a": 0}]
)
def test_allocate__weights_that_do_not_sum__refused(weights: dict[str, int]) -> None:
    with pytest.raises(AllocationError):
        allocate(weights)


@pytest.mark.parametrize(
    "ranges",
    [
        (),
        (BucketRange(0, 9_999, "a"),),
        (BucketRange(1, 10_000, "a"),),
        (BucketRange(0, 5_000, "a"), BucketRange(4_999, 10_000, "b")),
        (BucketRange(0, 5_000, "a"), BucketRange(5_001, 10_000, "b")),
        (BucketRange(0, 10_001, "a"),),
        (BucketRange(0, 0, "a"), BucketRange(0, 10_000, "b")),
    ],
)
def test_check_ranges__gap_or_overlap__refused(ranges: Ranges) -> None:
    with pytest.raises(AllocationError):
        check_ranges(ranges)


def test_compile__unknown_variant__refused() -> None:
    with pytest.raises(AllocationError, match="ghost"):
        compile_ranges(allocate({"ghost": BUCKETS}), KEYS)


def test_compile__more_than_256_variants__wider_numbers() -> None:
    keys = [f"v{n}" for n in range(300)]
    ranges = allocate({"v299": BUCKETS})
    assert compile_ranges(ranges, keys)[0] == 299


def test_variant_at__beyond_the_ranges__refused() -> None:
    with pytest.raises(AllocationError):
        variant_at(allocate({"a": BUCKETS}), BUCKETS)
