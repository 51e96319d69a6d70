"""Who gets which variant: 10,000 buckets, sticky per unit, moved as little as possible.

Pure and exact: the same answer online, in batch, at validation and in "why did user X get Y".
Weights are integers that sum to 10,000, one bucket each.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import xxhash

from contracts.routing import BUCKETS, BucketRange

Ranges = tuple[BucketRange, ...]


class AllocationError(ValueError):
    """Weights or ranges that do not describe all 10,000 buckets exactly once."""


def bucket_of(salt: str, unit: str) -> int:
    """The unit's bucket: `xxh3_64(salt ":" unit) mod 10000`."""
    return xxhash.xxh3_64_intdigest(f"{salt}:{unit}".encode()) % BUCKETS


def weights_of(ranges: Sequence[BucketRange]) -> dict[str, int]:
    """Buckets held by each variant."""
    weights: dict[str, int] = {}
    for item in ranges:
        weights[item.variant] = weights.get(item.variant, 0) + item.stop - item.start
    return weights


def variant_at(ranges: Sequence[BucketRange], bucket: int) -> str:
    """The variant that owns `bucket`; AllocationError when no range covers it."""
    for item in ranges:
        if item.start <= bucket < item.stop:
            return item.variant
    raise AllocationError(f"bucket {bucket} belongs to no variant")


def compile_ranges(
    ranges: Sequence[BucketRange], variants: Sequence[str]
) -> bytes | tuple[int, ...]:
    """One variant index per bucket (a `bytes` of length 10,000 for up to 256 variants)."""
    check_ranges(ranges)
    index = {key: number for number, key in enumerate(variants)}
    owners: list[int] = []
    for item in ranges:
        if item.variant not in index:
            raise AllocationError(f"range names unknown variant {item.variant!r}")
        owners.extend([index[item.variant]] * (item.stop - item.start))
    return bytes(owners) if len(variants) <= 256 else tuple(owners)


def check_ranges(ranges: Sequence[BucketRange]) -> None:
    """Raise AllocationError unless the ranges cover 0..10,000 in order, without gap or overlap."""
    at = 0
    for item in ranges:
        if item.start != at or item.stop <= item.start:
            raise AllocationError(f"range {item.start}-{item.stop} does not follow bucket {at}")
        at = item.stop
    if at != BUCKETS:
        raise AllocationError(f"ranges end at {at}, not {BUCKETS}")


def check_weights(weights: Mapping[str, int]) -> None:
    """Raise AllocationError unless all weights are >= 0 and sum to 10,000."""
    negative = [key for key, weight in weights.items() if weight < 0]
    if negative:
        raise AllocationError(f"weight of {negative[0]!r} is negative")
    if sum(weights.values()) != BUCKETS:
        raise AllocationError(f"weights sum to {sum(weights.values())}, not {BUCKETS}")


def allocate(weights: Mapping[str, int]) -> Ranges:
    """A fresh allocation: contiguous ranges in the order given."""
    return reallocate((), weights)


def reallocate(ranges: Sequence[BucketRange], weights: Mapping[str, int]) -> Ranges:
    """Move the fewest buckets from `ranges` to reach `weights`.

    Variants that lose give up the buckets of their highest-numbered ranges, variants that gain
    take them in the order of `weights`; moved buckets = half the L1 distance of the weights.
    A variant whose weight only grows never loses a bucket.
    """
    check_weights(weights)
    owners = _owners(ranges)
    free = iter(_released(owners, weights))
    held = {key: owners.count(key) for key in weights}
    for key, weight in weights.items():
        for _ in range(weight - held[key]):
            owners[next(free)] = key
    return _merge(owners)


def moved(before: Sequence[BucketRange], after: Sequence[BucketRange]) -> int:
    """How many buckets have another variant in `after`."""
    return sum(a != b for a, b in zip(_owners(before), _owners(after), strict=True))


def rename(ranges: Sequence[BucketRange], names: Mapping[str, str]) -> Ranges:
    """The same buckets under other variant keys (a canary that becomes stable moves nobody)."""
    return _merge([names.get(owner, owner) for owner in _owners(ranges)])


def _owners(ranges: Sequence[BucketRange]) -> list[str]:
    owners = [""] * BUCKETS
    for item in ranges:
        owners[item.start : item.stop] = [item.variant] * (item.stop - item.start)
    return owners


def _released(owners: list[str], weights: Mapping[str, int]) -> list[int]:
    """Free each variant's surplus from its highest buckets; return all free buckets, ascending."""
    surplus = {key: owners.count(key) - weights.get(key, 0) for key in set(owners) if key}
    for bucket in range(BUCKETS - 1, -1, -1):
        key = owners[bucket]
        if key and surplus[key] > 0:
            owners[bucket] = ""
            surplus[key] -= 1
    return [bucket for bucket, key in enumerate(owners) if not key]


def _merge(owners: Sequence[str]) -> Ranges:
    ranges: list[BucketRange] = []
    start = 0
    for key, run in groupby(owners):
        stop = start + sum(1 for _ in run)
        ranges.append(BucketRange(start, stop, key))
        start = stop
    return tuple(ranges)
