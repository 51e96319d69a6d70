"""What each preprocessing step does to a batch of columns; `serving.preprocessing` checks first.

Each function takes where its columns lie and gives what runs per batch. Every operation works on
whole contiguous columns, element by element, so that a row's result does not depend on the rows
beside it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat

import numpy as np
import numpy.typing as npt

from contracts.preprocessing import Category, Hash
from serving.murmur import murmur3_32, signed

Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Texts = list[str | None]
Span = slice | Codes
UNKNOWN, MISSING = -1, -2
MAX_PLACES = 65_536


class Frame:
    """A batch on its way: `numbers[slot]` and `texts[slot]` are whole columns."""

    __slots__ = ("numbers", "texts")

    def __init__(self, numbers: Numbers, texts: list[Texts]) -> None:
        self.numbers = numbers
        self.texts = texts


Apply = Callable[[Frame], None]
Coder = Callable[[Frame], Codes]


def span(slots: Sequence[int]) -> Span:
    """Slots as an index: a slice where they follow each other, which copies nothing."""
    first = slots[0] if slots else 0
    if list(slots) == list(range(first, first + len(slots))):
        return slice(first, first + len(slots))
    return np.array(slots, dtype=np.intp)


def column_of(values: Sequence[float]) -> Numbers:
    """One constant per column, to be spread over the rows."""
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def impute(source: Span, target: Span, values: Sequence[float]) -> Apply:
    """NaN becomes the column's value."""
    constants = column_of(values)

    def apply(frame: Frame) -> None:
        found = frame.numbers[source]
        frame.numbers[target] = np.where(np.isnan(found), constants, found)

    return apply


def indicate(source: Span, target: Span) -> Apply:
    """1 where the source is NaN."""

    def apply(frame: Frame) -> None:
        frame.numbers[target] = np.isnan(frame.numbers[source])

    return apply


def impute_text(source: int, target: int, value: str) -> Apply:
    """null becomes `value`."""

    def apply(frame: Frame) -> None:
        found = frame.texts[source]
        frame.texts[target] = [value if text is None else text for text in found]

    return apply


def indicate_text(source: int, target: int) -> Apply:
    """1 where the source is null."""

    def apply(frame: Frame) -> None:
        frame.numbers[target] = [text is None for text in frame.texts[source]]

    return apply


def standardise(source: Span, target: Span, mean: Sequence[float], scale: Sequence[float]) -> Apply:
    """(x - mean) / scale, in that order of operations, as StandardScaler does."""
    means, scales = column_of(mean), column_of(scale)

    def apply(frame: Frame) -> None:
        frame.numbers[target] = (frame.numbers[source] - means) / scales

    return apply


def clip(source: Span, target: Span, low: float | None, high: float | None) -> Apply:
    """Between the bounds; NaN stays."""

    def apply(frame: Frame) -> None:
        # Adding 0 settles the sign of zero, which is anybody's guess where -0.0 meets a bound 0.
        frame.numbers[target] = np.clip(frame.numbers[source], low, high) + 0.0

    return apply


def log(source: Span, target: Span, offset: float) -> Apply:
    """log(x + offset); log1p where that is what it is."""

    def apply(frame: Frame) -> None:
        # A copy, as a loop over strides may round otherwise than one over neighbours.
        found = np.ascontiguousarray(frame.numbers[source])
        frame.numbers[target] = np.log1p(found) if offset == 1.0 else np.log(found + offset)

    return apply


def code_texts(source: int, categories: Sequence[Category]) -> Coder:
    """The position of each text among the categories; UNKNOWN, or MISSING for null."""
    positions: dict[Category, int] = {None: MISSING}
    positions |= {category: at for at, category in enumerate(categories)}
    get = positions.get

    def codes(frame: Frame) -> Codes:
        return np.array(list(map(get, frame.texts[source], repeat(UNKNOWN))), dtype=np.intp)

    return codes


def code_numbers(source: int, categories: Sequence[Category]) -> Coder:
    """The position of each number among the categories; UNKNOWN, or MISSING for NaN."""
    known = [(value, at) for at, value in enumerate(categories) if isinstance(value, float)]
    ordered = np.array([value for value, _ in sorted(known)] or [np.nan])
    positions = np.array([at for _, at in sorted(known)] or [UNKNOWN], dtype=np.intp)
    missing = categories.index(None) if None in categories else MISSING
    last = len(ordered) - 1

    def codes(frame: Frame) -> Codes:
        found = frame.numbers[source]
        at = np.minimum(np.searchsorted(ordered, found), last)
        coded = np.where(ordered[at] == found, positions[at], UNKNOWN)
        coded[np.isnan(found)] = missing
        return coded

    return codes


def onehot(coder: Coder, target: slice, other: int | None) -> Apply:
    """1 in the column of the code; `other` is the column of what has none."""
    positions = np.arange(target.stop - target.start, dtype=np.intp).reshape(-1, 1)

    def apply(frame: Frame) -> None:
        codes = coder(frame)
        frame.numbers[target] = codes == positions
        if other is not None:
            frame.numbers[other] = codes < 0

    return apply


def ordinal(coder: Coder, target: int, count: int, unknown: float, missing: float) -> Apply:
    """The code as a number; the two negative codes index the table from its end."""
    table = np.array([*range(count), missing, unknown], dtype=np.float64)

    def apply(frame: Frame) -> None:
        frame.numbers[target] = table[coder(frame)]

    return apply


def hash_index(source: int, target: int, step: Hash) -> Apply:
    """The unsigned hash of each text, mod buckets."""
    seed, buckets = step.seed, step.buckets

    def apply(frame: Frame) -> None:
        found = frame.texts[source]
        frame.numbers[target] = [_unsigned(text or "", seed) % buckets for text in found]

    return apply


def hash_columns(inputs: Sequence[tuple[str, bool, int]], target: slice, step: Hash) -> Apply:
    """All inputs (name, whether text, slot) added into `buckets` columns."""
    buckets = step.buckets
    parts = [_hash_part(name, text, slot, step) for name, text, slot in inputs]

    def apply(frame: Frame) -> None:
        rows = frame.numbers.shape[1]
        found = [part(frame) for part in parts]
        cells = np.concatenate([cells for cells, _ in found])
        weights = np.concatenate([weights for _, weights in found])
        sums = np.bincount(cells, weights, minlength=buckets * rows)
        frame.numbers[target] = sums.reshape(buckets, rows)

    return apply


def _hash_part(
    name: str, text: bool, slot: int, step: Hash
) -> Callable[[Frame], tuple[Codes, Numbers]]:
    """What one input adds: the flat index of each cell, and how much."""
    prefix = f"{name}=" if step.named else ""

    def of_texts(frame: Frame) -> tuple[Codes, Numbers]:
        found, rows = frame.texts[slot], frame.numbers.shape[1]
        places = [
            (0, 0.0)
            if text is None
            else _place(prefix + text, step.seed, step.buckets, step.signed)
            for text in found
        ]
        buckets = np.array([bucket for bucket, _ in places], dtype=np.intp)
        signs = np.array([sign for _, sign in places], dtype=np.float64)
        return buckets * rows + np.arange(rows), signs

    def of_numbers(frame: Frame) -> tuple[Codes, Numbers]:
        found, rows = frame.numbers[slot], frame.numbers.shape[1]
        bucket, sign = _place(name, step.seed, step.buckets, step.signed)
        return bucket * rows + np.arange(rows), np.where(np.isnan(found), 0.0, sign * found)

    return of_texts if text else of_numbers


@lru_cache(maxsize=MAX_PLACES)
def _place(token: str, seed: int, buckets: int, alternate: bool) -> tuple[int, float]:
    """The column of a token and the sign that it counts with."""
    value = signed(murmur3_32(token.encode(), seed))
    return abs(value) % buckets, -1.0 if alternate and value < 0 else 1.0


@lru_cache(maxsize=MAX_PLACES)
def _unsigned(token: str, seed: int) -> int:
    return murmur3_32(token.encode(), seed)
