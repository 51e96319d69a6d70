"""Two reference profiles beside each other: each feature as a small paired histogram. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.reference import Counted, Reference

CELLS = 16
CATEGORIES = 8
WIDTH, HEIGHT = 160.0, 40.0
REST = "others"


@dataclass(frozen=True)
class Bar:
    """One bar, in the units of the picture; `side` is "left" or "right"."""

    side: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Pair:
    """A feature of both versions. `apart` is the total variation distance of the shares, 0 to 1;
    None where one of the two lacks the feature."""

    name: str
    kind: str
    left: str
    right: str
    apart: float | None
    bars: Sequence[Bar]


def pairs(left: Reference, right: Reference) -> list[Pair]:
    """Features and predictions of either, the most different first."""
    old, new = (
        {one.name: one for one in (*side.features, *side.predictions)} for side in (left, right)
    )
    found = [_pair(name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new])]
    return sorted(found, key=lambda one: (-(1.0 if one.apart is None else one.apart), one.name))


def _pair(name: str, left: Counted | None, right: Counted | None) -> Pair:
    known = [side for side in (left, right) if side is not None]
    kinds = {side.kind for side in known}
    shares = _shares(left, right) if len(kinds) == 1 else ({}, {})
    both = left is not None and right is not None and len(kinds) == 1
    cells = dict.fromkeys([*shares[0], *shares[1]])
    gaps = [abs(shares[0].get(cell, 0.0) - shares[1].get(cell, 0.0)) for cell in cells]
    return Pair(
        name=name,
        kind=" and ".join(sorted(kinds)),
        left=_words(left),
        right=_words(right),
        apart=sum(gaps) / 2 if both else None,
        bars=_bars(list(cells), shares),
    )


Shares = Mapping[object, float]


def _shares(left: Counted | None, right: Counted | None) -> tuple[Shares, Shares]:
    """The share of each cell that both sides have in common."""
    known = [side for side in (left, right) if side is not None]
    if known[0].kind == "number":
        low, high = min(one.low for one in known), max(one.high for one in known)
        return tuple(_spread(side, low, high) for side in (left, right))  # type: ignore[return-value]  # two of them
    names = _shown(known)
    return tuple(_categories(side, names) for side in (left, right))  # type: ignore[return-value]  # two of them


def _spread(side: Counted | None, low: float, high: float) -> Shares:
    """A number's rows in equal cells of [low, high], evenly within each of its bins."""
    total = sum(side.counts) if side else 0
    if side is None or not total:
        return {}
    width = (high - low) / CELLS or 1.0
    found: dict[object, float] = dict.fromkeys(range(CELLS), 0.0)
    ends = [side.low, *side.edges, max(side.high, side.edges[-1] if side.edges else side.low)]
    for start, end, count in zip(ends, ends[1:], side.counts, strict=False):
        for cell, part in _overlaps(start, end, low, width):
            found[cell] += part * count / total
    return found


def _overlaps(start: float, end: float, low: float, width: float) -> list[tuple[int, float]]:
    """Cells that [start, end] touches, with the part of it that lies in each."""
    first, last = (min(CELLS - 1, max(0, int((one - low) / width))) for one in (start, end))
    if end <= start or first == last:
        return [(first, 1.0)]
    parts = []
    for cell in range(first, last + 1):
        left, right = low + cell * width, low + (cell + 1) * width
        parts.append((cell, max(0.0, min(end, right) - max(start, left)) / (end - start)))
    return parts


def _shown(known: Sequence[Counted]) -> list[str]:
    """The categories that have a bar: the commonest of either side."""
    if known[0].kind == "flag":
        return ["False", "True"]
    return list(dict.fromkeys(name for side in known for name in side.frequent[:CATEGORIES]))


def _categories(side: Counted | None, names: Sequence[str]) -> Shares:
    total = sum(side.counts) if side else 0
    if side is None or not total:
        return {}
    cells = ["False", "True"] if side.kind == "flag" else side.frequent
    counted = dict(zip(cells, side.counts, strict=False))
    found: dict[object, float] = {name: counted.get(name, 0) / total for name in names}
    found[REST] = max(0.0, 1.0 - sum(found.values()))
    return found


def _bars(cells: Sequence[object], shares: tuple[Shares, Shares]) -> list[Bar]:
    most = max((share for side in shares for share in side.values()), default=0.0)
    if not most:
        return []
    step = WIDTH / len(cells)
    bars = []
    for number, cell in enumerate(cells):
        for offset, (name, side) in enumerate(zip(("left", "right"), shares, strict=True)):
            height = round(HEIGHT * side.get(cell, 0.0) / most, 1)
            x = round(number * step + offset * step * 0.45, 1)
            if height:
                bars.append(Bar(name, x, HEIGHT - height, round(step * 0.42, 1), height))
    return bars


def _words(side: Counted | None) -> str:
    if side is None:
        return "–"
    rows = sum(side.counts) + side.missing
    missing = f", {side.missing / rows:.1%} missing" if side.missing and rows else ""
    if side.kind == "number":
        mean = side.centre + side.total / side.numbers if side.numbers else side.centre
        return f"mean {mean:.4g}, {side.low:.4g} to {side.high:.4g}{missing}"
    if side.kind == "flag":
        share = side.counts[1] / max(1, sum(side.counts)) if len(side.counts) > 1 else 0.0
        return f"{share:.1%} true{missing}"
    return f"{len(side.frequent) + len(side.rest)} categories{missing}"
