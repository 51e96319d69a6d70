"""Several goals and arms at once: p-values adjusted so that they are held against alpha itself."""

from collections.abc import Sequence
from enum import StrEnum

from apps.experiments.stats.computable import NotComputable

PValue = float | NotComputable


class Correction(StrEnum):
    """What is held at alpha: the chance of any false finding, or their share among findings."""

    HOLM = "holm"
    BENJAMINI_HOCHBERG = "benjamini_hochberg"
    NONE = "none"


def adjusted(p_values: Sequence[PValue], correction: Correction) -> list[PValue]:
    """Adjusted p-values in the order given.

    Holm (1979) holds under any dependence; Benjamini and Hochberg (1995) under independence or
    positive dependence. A hypothesis that cannot be computed stays so and still counts in the
    family: leaving it out would make the others easier to find.
    """
    if correction is Correction.NONE:
        return list(p_values)
    known = [(value, place) for place, value in enumerate(p_values) if isinstance(value, float)]
    if any(not 0 <= value <= 1 for value, _ in known):
        raise ValueError("p-values must lie between 0 and 1")
    result = list(p_values)
    step = _holm if correction is Correction.HOLM else _benjamini_hochberg
    order = sorted(known)
    values = step([value for value, _ in order], len(p_values))
    for value, (_, place) in zip(values, order, strict=True):
        result[place] = value
    return result


def _holm(ascending: Sequence[float], family: int) -> list[float]:
    found, highest = [], 0.0
    for rank, value in enumerate(ascending):
        highest = max(highest, min(1.0, (family - rank) * value))
        found.append(highest)
    return found


def _benjamini_hochberg(ascending: Sequence[float], family: int) -> list[float]:
    found, least = [], 1.0
    for rank in range(len(ascending), 0, -1):
        least = min(least, family / rank * ascending[rank - 1])
        found.append(least)
    return found[::-1]
