"""The clients' books and the platform's, in the same form, so that they can be compared."""

from collections import Counter
from collections.abc import Iterable, Mapping

from django.db.models import Sum

from apps.monitoring.models import (
    ExposureRow,
    RejectedWindow,
    TrafficCounts,
    TrafficRollup,
    TrafficWindow,
    UnitFailure,
)
from contracts.routing import EndpointSpec
from dataplane.gateway.units import UnitHasher
from serving.allocation import bucket_of, variant_at
from tests.chaos.crowd import Answer, Kind

Entry = tuple[int, str, str, str]
Books = Counter[Entry]  # by phase, version, variant and result: "ok" or the kind of error


class Design:
    """What a specification says about who gets what, worked out here once more."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._spec = spec
        self._versions = {variant.key: variant.version for variant in spec.variants}

    def variant(self, user: str) -> str:
        """The key of the variant that the user is given."""
        return variant_at(self._spec.ranges, bucket_of(self._spec.salt, user))

    def entry(self, user: str, kind: Kind) -> Entry:
        """Where a request of that user is counted."""
        variant = self.variant(user)
        return (self._spec.phase, self._versions[variant], variant, kind)

    def contradictions(self, answers: Iterable[Answer]) -> list[Answer]:
        """Answers by another version or variant than the one designed."""
        return [
            each
            for each in answers
            if each.status == 200
            and (each.version, each.body["variant"]) != self.entry(each.user, "ok")[1:3]
        ]

    def books(self, answers: Iterable[Answer]) -> Books:
        """What the clients saw."""
        seen = Counter(self.entry(each.user, each.kind) for each in answers)
        return Counter({key: count for key, count in seen.items() if key[3] != "rejected"})

    def failed_units(self, answers: Iterable[Answer], units: UnitHasher) -> set[str]:
        """Units that the model failed at least once."""
        bad = {each.user for each in answers if each.kind in ("model", "invalid_output")}
        return {units.digest(user).hex() for user in bad}


def answered_books(answers: Iterable[Answer], phases: Mapping[int, int]) -> Books:
    """Successful answers; `phases` tells the phase of each generation."""
    return Counter(
        (phases[each.body["generation"]], each.version, each.body["variant"], "ok")
        for each in answers
    )


def rejections(answers: Iterable[Answer]) -> int:
    """How many answers refused bad input."""
    return sum(each.kind == "rejected" for each in answers)


def counted() -> Books:
    """What Postgres says was served, by its seconds."""
    return _books(TrafficWindow.objects.filter(endpoint="rig"))


def rolled_up(width_s: int) -> Books:
    """The same by its minutes (60) or hours (3600)."""
    return _books(TrafficRollup.objects.filter(endpoint="rig", width_s=width_s))


def _books(rows: Iterable[TrafficCounts]) -> Books:
    books: Books = Counter()
    for row in rows:
        key = (row.phase, row.version_key, row.variant)
        assert row.failed == sum(row.errors.values())
        books[*key, "ok"] += row.requests - row.failed
        for kind, count in row.errors.items():
            books[*key, kind] += count
    return +books


def counted_rejections() -> int:
    """What Postgres says was refused."""
    return int(RejectedWindow.objects.aggregate(total=Sum("count"))["total"] or 0)


def fallbacks(answers: Iterable[Answer]) -> Counter[str]:
    """What the clients saw of the chain: which of its steps answered, or 503."""
    seen = Counter("503" for each in answers if each.status == 503)
    named = [str(each.body["fallback"]) for each in answers if each.body.get("fallback")]
    return seen + Counter(name.partition(":")[0] for name in named)


def counted_fallbacks() -> Counter[str]:
    """What Postgres says of it; the same by seconds, by minutes and by the sum of what answered."""
    found: list[Counter[str]] = []
    for rows in (TrafficWindow.objects.all(), TrafficRollup.objects.filter(width_s=60)):
        kinds: Counter[str] = Counter()
        for row in rows.filter(endpoint="rig"):
            assert row.fallbacks == sum(row.fallback_kinds.values()) - row.fallback_kinds.get(
                "503", 0
            )
            kinds.update(row.fallback_kinds)
        found.append(kinds)
    assert found[0] == found[1]
    return found[0]


def exposed() -> dict[str, str]:
    """Each exposed unit's variant."""
    return dict(ExposureRow.objects.filter(mixed=False).values_list("unit", "variant"))


def failed_units() -> set[str]:
    """Units with a first failure in Postgres."""
    return set(UnitFailure.objects.values_list("unit", flat=True))
