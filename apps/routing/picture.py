"""An endpoint as its page shows it: the split, as bars and in words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FILLS = {"stable": "baseline", "canary": "candidate", "arm": "other-1", "fallback": "other-2"}


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


def shares(variants: Sequence[Mapping[str, Any]]) -> list[Share]:
    """Shares in the order of the phase, those with no bucket left out."""
    return [
        Share(
            key=variant["key"],
            number=int(variant["version"].rpartition("/")[2]),
            weight=variant["weight"],
            fill=f"fill-{FILLS.get(variant['role'], 'other-2')}",
        )
        for variant in variants
        if variant["weight"]
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
