"""Figures of a check as a picture: what was measured, its interval, and the limit. Pure.

Checks name their figures alike: `value` with `low` and `high` (or an `interval` or `gain` of
them) and a limit; one such alone, a list of them (`slices`, `gaps`), or one for each metric; or a
measured figure beside what is allowed (PAIRS). What is compared with one limit shares a scale.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 200.0
MARGIN = 6.0
MOST_ROWS = 12
LISTS = ("slices", "gaps", "groups", "endpoints")
VALUES = ("difference", "value", "agreement")
LIMITS = ("limit", "minimum", "maximum", "floor")
NAMES = ("name", "slice", "metric", "endpoint")
PAIRS = (
    ("size_bytes", "most_bytes", "size"),
    ("p95_ms", "most_ms", "p95, ms"),
    ("rows", "minimum_rows", "rows"),
    ("seconds", "minimum_s", "seconds"),
)


@dataclass(frozen=True)
class Mark:
    """One row: places of the value, its interval's ends, its limit and zero, all in words.

    What is not known, or not within the row, is None.
    """

    label: str
    words: str
    x: float
    left: float | None
    right: float | None
    limit: float | None
    zero: float | None


@dataclass(frozen=True)
class Picture:
    """Rows, and how many more there are."""

    marks: Sequence[Mark]
    more: int = 0

    @property
    def has_limit(self) -> bool:
        """Whether a limit is drawn."""
        return any(mark.limit is not None for mark in self.marks)


@dataclass(frozen=True)
class _Figure:
    label: str
    value: float
    low: float | None = None
    high: float | None = None
    limit: float | None = None

    @property
    def ends(self) -> list[float]:
        known = (self.value, self.low, self.high, self.limit)
        return [end for end in known if end is not None]


def picture_of(figures: Mapping[str, Any]) -> Picture | None:
    """The picture of a check's figures, or None where there is nothing to see in one."""
    found = [one for one in _figures(figures) if len(one.ends) > 1 or "slices" in figures]
    if not found:
        return None
    shown = found[:MOST_ROWS]
    shared = len({one.limit for one in shown}) == 1
    whole = [end for one in shown for end in one.ends]
    marks = [_mark(one, whole if shared else one.ends) for one in shown]
    return Picture(marks, more=len(found) - len(shown))


def _figures(figures: Mapping[str, Any]) -> Iterator[_Figure]:
    listed = next((figures[name] for name in LISTS if isinstance(figures.get(name), list)), None)
    limit = _first(figures, LIMITS)
    if listed is not None:
        rows = (_figure(row, limit) for row in listed if isinstance(row, Mapping))
        yield from filter(None, rows)
        return
    alone = _figure(figures, limit)
    if alone is not None:
        yield alone
    for name, row in figures.items():
        found = _figure({"metric": name, **row}, None) if isinstance(row, Mapping) else None
        if found is not None:
            yield found
    yield from _pairs(figures)


def _pairs(figures: Mapping[str, Any]) -> Iterator[_Figure]:
    for name, allowed, label in PAIRS:
        value, limit = _number(figures.get(name)), _number(figures.get(allowed))
        if value is not None and limit is not None:
            yield _Figure(label, value, limit=limit)


def _figure(row: Mapping[str, Any], limit: float | None) -> _Figure | None:
    """A row's figure: by how much it is better where that is known, else its value."""
    label = _label(row)
    low, high = _ends(row.get("gain"))
    if low is not None and high is not None:
        margin = _number(row.get("margin"))
        least = None if margin is None else -margin
        return _Figure(label, (low + high) / 2, low, high, least)
    value = _first(row, VALUES)
    if value is None:
        return None
    low, high = _ends(row.get("interval", row))
    own = _first(row, LIMITS)
    return _Figure(label, value, low, high, limit if own is None else own)


def _label(row: Mapping[str, Any]) -> str:
    measure = row.get("measure")
    if isinstance(measure, str) and isinstance(row.get("groups"), str):
        return f"{measure.replace('_', ' ')}, {row['groups']}"
    return next((str(row[name]) for name in NAMES if row.get(name)), "").replace("_", " ")


def _ends(known: object) -> tuple[float | None, float | None]:
    if isinstance(known, list | tuple) and len(known) == 2:
        known = {"low": known[0], "high": known[1]}
    if not isinstance(known, Mapping):
        return None, None
    low, high = _number(known.get("low")), _number(known.get("high"))
    return (None, None) if low is None or high is None else (low, high)


def _first(row: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return next((found for name in names if (found := _number(row.get(name))) is not None), None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _mark(one: _Figure, ends: Sequence[float]) -> Mark:
    """A row on the scale of `ends`; zero is on it where they lie on both its sides, or near."""
    least, most = min(ends), max(ends)
    if 0 < least < most / 2:
        least = 0.0
    span = (most - least) or abs(most) or 1.0

    def place(value: float | None) -> float | None:
        if value is None:
            return None
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - least) / span, 1)

    return Mark(
        label=one.label,
        words=_words(one),
        x=place(one.value) or MARGIN,
        left=place(one.low),
        right=place(one.high),
        limit=place(one.limit),
        zero=place(0.0) if least <= 0 <= most else None,
    )


def _words(one: _Figure) -> str:
    if one.low is not None and one.high is not None:
        return f"{one.value:.4g} ({one.low:.3g} to {one.high:.3g})"
    return f"{one.value:.4g}" if one.limit is None else f"{one.value:.4g} of {one.limit:.4g}"
