"""An endpoint as its page shows it: the split, as bars and in words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FILLS = {"stable": "baseline", "canary": "candidate", "arm": "other-1", "fallback": "other-2"}
COMBINATIONS = {
    "mean": "the mean",
    "weighted": "the weighted mean",
    "vote": "the majority",
    "stack": "a stack",
}
ROLES_OF_NONE = {"shadow": "sees copies", "fallback": "stands in", "member": "in the ensemble"}


@dataclass(frozen=True)
class Share:
    """A variant's share of the buckets."""

    key: str
    number: int
    weight: int
    fill: str

    @property
    def words(self) -> str:
        """ "v2 as canary: 5 %"."""
        return f"v{self.number} as {self.key}: {self.weight / 100:g} %"


@dataclass(frozen=True)
class Bar:
    """One range of buckets, as a rectangle of the 10,000 wide picture."""

    start: int
    width: int
    fill: str
    words: str


def shares(variants: Sequence[Mapping[str, Any]], *, idle: bool = False) -> list[Share]:
    """Shares in the order of the phase, those with no bucket left out unless `idle`."""
    return [
        Share(
            key=variant["key"],
            number=int(variant["version"].rpartition("/")[2]),
            weight=variant["weight"],
            fill=f"fill-{FILLS.get(variant['role'], 'other-2')}",
        )
        for variant in variants
        if variant["weight"] or idle
    ]


def bars(split: Sequence[Share], ranges: Sequence[tuple[int, int, str]]) -> list[Bar]:
    """Rectangles of the ranges, in the fill of their variant."""
    by_key = {share.key: share for share in split}
    return [
        Bar(
            start,
            stop - start,
            by_key[key].fill,
            f"{by_key[key].words}, buckets {start}-{stop - 1}",
        )
        for start, stop, key in ranges
        if key in by_key
    ]


def in_words(split: Sequence[Share]) -> str:
    """One sentence: who gets what."""
    if not split:
        return "No version gets traffic here yet."
    if len(split) == 1:
        return f"Everyone gets v{split[0].number}."
    parts = [f"{share.weight / 100:g} % get v{share.number}" for share in split]
    return f"{', '.join(parts[:-1])} and {parts[-1]}."


def company(variants: Sequence[Mapping[str, Any]]) -> list[str]:
    """Variants that get no buckets and what they are there for: "v2 as backup: stands in"."""
    return [
        f"v{variant['version'].rpartition('/')[2]} as {variant['key']}: "
        f"{ROLES_OF_NONE.get(variant['role'], 'only when pinned')}"
        for variant in variants
        if not variant["weight"]
    ]


def ensembles(variants: Sequence[Mapping[str, Any]]) -> list[str]:
    """Variants whose answer is combined: "stable answers as the mean of stable and second"."""
    return [
        f"{variant['key']} answers as {COMBINATIONS[found['combine']]} of "
        f"{' and '.join(_members(found))}."
        for variant in variants
        if (found := variant.get("ensemble"))
    ]


def _members(ensemble: Mapping[str, Any]) -> list[str]:
    members, weights = ensemble["members"], ensemble.get("weights") or ()
    if not weights:
        return list(members)
    return [f"{key} ({weight:g})" for key, weight in zip(members, weights, strict=True)]
