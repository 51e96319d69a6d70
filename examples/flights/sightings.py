"""What follows from the answers that the client saw. Pure functions over answers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from examples.flights.traffic import Answer


@dataclass(frozen=True)
class Books:
    """Counts that both sides keep; only what is not zero.

    answered: predictions per variant; failed: requests without a prediction; recorded and
    labelled: predictions per version, and those of them whose label is known.
    """

    answered: dict[str, int]
    failed: int
    recorded: dict[str, int]
    labelled: dict[str, int]

    def __post_init__(self) -> None:
        for name in ("answered", "recorded", "labelled"):
            kept = {key: count for key, count in getattr(self, name).items() if count}
            object.__setattr__(self, name, dict(sorted(kept.items())))


def books(answers: Sequence[Answer]) -> Books:
    """What the client saw; every known label was sent."""
    served = answered(answers)
    return Books(
        answered=Counter(answer.variant for answer in served),
        failed=len(answers) - len(served),
        recorded=by_version(answers),
        labelled=by_version(answer for answer in served if answer.truth),
    )


def answered(answers: Iterable[Answer]) -> list[Answer]:
    """Those that carried a prediction."""
    return [answer for answer in answers if answer.status == 200]


def failures(answers: Iterable[Answer]) -> Counter[int]:
    """Answers without a prediction, by HTTP status (0: no answer)."""
    return Counter(answer.status for answer in answers if answer.status != 200)


def by_version(answers: Iterable[Answer]) -> Counter[str]:
    """Predictions per model version."""
    return Counter(str(answer.model_version) for answer in answered(answers))


def moved_off(answers: Iterable[Answer], *, candidate: str) -> set[str]:
    """Units that one generation sent to the candidate and the same or a later one elsewhere.

    Answers by a fallback are left out: they say what stood in, not where the unit belongs.
    """
    seen: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for answer in answered(answers):
        if not answer.fallback:
            on_candidate = str(answer.model_version) == candidate
            seen[answer.unit].append((answer.generation, on_candidate))
    return {unit for unit, places in seen.items() if _left(places)}


def _left(places: Sequence[tuple[int, bool]]) -> bool:
    first = min((generation for generation, on in places if on), default=None)
    return first is not None and any(not on and gen >= first for gen, on in places)


def units_on(answers: Iterable[Answer], *, version: str) -> set[str]:
    """Units that the version answered."""
    return {a.unit for a in answered(answers) if str(a.model_version) == version}


def accuracy(answers: Iterable[Answer], *, version: str) -> tuple[float, int]:
    """Share of labelled answers of this version that were right, and how many there were."""
    judged = [a for a in answered(answers) if a.truth and str(a.model_version) == version]
    right = sum(answer.label == answer.truth for answer in judged)
    return (right / len(judged) if judged else 0.0), len(judged)
