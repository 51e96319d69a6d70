"""Which units a shadow sees too, and by what its comparison is split: pure, and the same on
every gateway.
"""

import math
from collections.abc import Sequence

import xxhash

from contracts.policy import Mirror
from contracts.schema import ModelSchema
from serving.validation import Row, Value

SPACE = 2**64
MAX_VALUES = 64
MAX_TEXT = 64
OTHER, MISSING = "other", "missing"
BY_VALUE = 100  # integers up to here are categories, beyond quantities
SMALLEST, LARGEST = -10, 60  # powers of two


class MirrorError(ValueError):
    """A mirror that cannot be set up as asked, with the reason in words."""


class Share:
    """The units that are mirrored: those whose hash lies below the share.

    The salt is the mirror's own and never renewed, so the same units are mirrored from phase to
    phase, and a greater share mirrors all that a smaller one did. `unit` is the keyed hash.
    """

    def __init__(self, mirror: Mirror, endpoint: str) -> None:
        if not 0 <= mirror.share <= 1:
            raise MirrorError(f"share {mirror.share} is not between 0 and 1")
        self._salt = f"mirror:{endpoint}:{mirror.variant}:".encode()
        self._below = int(mirror.share * SPACE)

    def has(self, unit: bytes) -> bool:
        """Whether the unit is mirrored."""
        return xxhash.xxh3_64_intdigest(self._salt + unit) < self._below


class Segmenter:
    """Names the segments of rows of one schema: "feature=value", one for each feature asked for.

    Each feature splits all rows by itself. A feature has at most MAX_VALUES values of its own,
    first come; the rest are "other". Private features name nobody's segment: MirrorError.
    """

    def __init__(self, features: Sequence[str], schema: ModelSchema) -> None:
        specs = {feature.name: number for number, feature in enumerate(schema.features)}
        for name in features:
            if name not in specs:
                raise MirrorError(f"segment {name!r} is not a feature")
            if schema.features[specs[name]].pii:
                raise MirrorError(f"segment {name!r} is a private feature")
        self._features = tuple((name, specs[name], dict[Value, str]()) for name in features)

    def of(self, row: Row) -> tuple[str, ...]:
        """The segments of a row."""
        return tuple([self._segment(name, row[at], known) for name, at, known in self._features])

    def _segment(self, name: str, value: Value, known: dict[Value, str]) -> str:
        key = value_of_segment(value)
        segment = known.get(key)
        if segment is None:
            if len(known) >= MAX_VALUES:
                return f"{name}={OTHER}"
            segment = known[key] = f"{name}={key}"
        return segment


def value_of_segment(value: Value) -> str:
    """The text by which a value is grouped: a category as it is, a quantity by its power of two.

    >>> [value_of_segment(each) for each in ("AA", 7, 1500, 0.3, None)]
    ['AA', '7', '1024 to 2048', '0.25 to 0.5', 'missing']
    """
    if value is None or value != value:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value[:MAX_TEXT]
    if isinstance(value, int) and -BY_VALUE <= value <= BY_VALUE:
        return str(value)
    return _octave(float(value))


def _octave(value: float) -> str:
    if math.isinf(value):
        return OTHER
    exponent = math.frexp(value)[1]  # |value| lies in [2**(exponent - 1), 2**exponent)
    if value == 0 or exponent <= SMALLEST:
        return "near 0"
    low, high = (2.0 ** min(each, LARGEST) for each in (exponent - 1, exponent))
    if value < 0:
        low, high = -high, -low
    return f"{low:.12g} to {high:.12g}"
