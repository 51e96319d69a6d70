"""Figures of a check as a picture: what was measured, its interval, and the limit. Pure.

A check tells a picture by the names of its figures: `value` or `difference`, `low` and `high` of
its 95 % interval, `limit`; or a list of such under `slices` or `groups`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 200.0
MARGIN = 6.0
MOST_ROWS = 12
LISTS = ("slices", "groups", "metrics", "endpoints")
VALUES = ("difference", "value", "agreement", "gap")
LIMITS = ("limit", "threshold", "minimum", "maximum", "floor", "margin")
NAMES = ("name", "slice", "group", "metric", "endpoint")


@dataclass(frozen=True)
class Mark:
    """One row: the value's place, its interval's ends (None without one), and all in words."""

    label: str
    words: str
    x: float
    left: float | None
    right: float | None


@dataclass(frozen=True)
class Picture:
    """Rows on one scale; `zero` and `limit` are places of lines, None where they are off it."""

    marks: Sequence[Mark]
    zero: float | None
    limit: float | None
    limit_words: str
    more: int = 0


@dataclass(frozen=True)
class _Figure:
    label: str
    value: float
    low: float | None
    high: float | None


def picture_of(figures: Mapping[str, Any]) -> Picture | None:
    """The picture of a check's figures, or None where they have no value to draw."""
    found = list(_figures(figures))
    limit = _first(figures, LIMITS)
    if not found or (len(found) == 1 and found[0].low is None and limit is None):
        return None
    return _drawn(found[:MOST_ROWS], limit, more=max(0, len(found) - MOST_ROWS))


def _figures(figures: Mapping[str, Any]) -> Iterable[_Figure]:
    for name in LISTS:
        rows = figures.get(name)
        if isinstance(rows, list):
            yield from filter(None, (_figure(row) for row in rows if isinstance(row, Mapping)))
            return
    alone = _figure(figures)
    if alone is not None:
        yield alone


def _figure(row: Mapping[str, Any]) -> _Figure | None:
    value = _first(row, VALUES)
    if value is None:
        return None
    label = next((str(row[name]) for name in NAMES if row.get(name)), "")
    low, high = _interval(row)
    return _Figure(label.replace("_", " "), value, low, high)


def _interval(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    known = row.get("interval")
    if isinstance(known, Mapping):
        row = known
    elif isinstance(known, list | tuple) and len(known) == 2:
        row = {"low": known[0], "high": known[1]}
    low, high = _number(row.get("low")), _number(row.get("high"))
    return (low, high) if low is not None and high is not None else (None, None)


def _first(row: Mapping[str, Any], names: Iterable[str]) -> float | None:
    return next((found for name in names if (found := _number(row.get(name))) is not None), None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _drawn(found: Sequence[_Figure], limit: float | None, *, more: int) -> Picture:
    ends = [end for one in found for end in (one.value, one.low, one.high) if end is not None]
    ends += [0.0] if any(end < 0 for end in ends) or min(ends) < max(ends) / 2 else []
    ends += [limit] if limit is not None else []
    least, most = min(ends), max(ends)
    span = (most - least) or abs(most) or 1.0

    def place(value: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - least) / span, 1)

    marks = [
        Mark(
            one.label,
            _words(one),
            place(one.value),
            None if one.low is None else place(one.low),
            None if one.high is None else place(one.high),
        )
        for one in found
    ]
    return Picture(
        marks=marks,
        zero=place(0.0) if least <= 0 <= most else None,
        limit=None if limit is None else place(limit),
        limit_words="" if limit is None else f"limit {limit:.4g}",
        more=more,
    )


def _words(one: _Figure) -> str:
    if one.low is None or one.high is None:
        return f"{one.value:.4g}"
    return f"{one.value:.4g} ({one.low:.3g} to {one.high:.3g})"
