"""Two versions beside each other, read from the tables, for the page and the API."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apps.registry.card.reading import schema_of
from apps.registry.evidence import side
from apps.registry.models import ModelVersion, ReferenceProfile
from apps.registry.side_by_side import Measured, Section, sections

if TYPE_CHECKING:
    from apps.registry.profiles import Pair

LATENCIES = {"p50_ms": "Latency p50, one row", "p95_ms": "Latency p95, one row"}


@dataclass(frozen=True)
class Beside:
    """The comparison; `lacking` are versions without a schema, of which little can be said."""

    left: ModelVersion
    right: ModelVersion
    sections: list[Section]
    lacking: list[ModelVersion]
    profiles: "list[Pair]" = field(default_factory=list)

    @property
    def changed(self) -> int:
        """How many rows differ."""
        return sum(section.changed for section in self.sections)


def beside(left: ModelVersion, right: ModelVersion) -> Beside:
    """Everything that is known of both."""
    lacking = [one for one in (left, right) if schema_of(one) is None]
    if lacking:
        return Beside(left, right, [], lacking)
    found = sections(side(left), side(right), before=measured(left), after=measured(right))
    return Beside(left, right, found, [], _profiles(left, right))


def _profiles(left: ModelVersion, right: ModelVersion) -> "list[Pair]":
    """The two reference profiles; empty unless both versions have one."""
    rows = ReferenceProfile.objects.filter(version__in=(left.pk, right.pk))
    kept = {row.version_id: row.reference() for row in rows}
    if len(kept) < 2:
        return []
    # Imported on first use: numpy is slow to load, and most pages never count.
    from apps.registry.profiles import pairs

    return pairs(kept[left.pk], kept[right.pk])


def measured(version: ModelVersion) -> Measured:
    """What its newest validation measured, and how its artifact was converted."""
    newest = version.validations.exclude(checks=[]).order_by("-id").first()
    figures = {}
    for check in newest.checks if newest else []:
        for name, value in (check.get("figures") or {}).items():
            if name in LATENCIES and isinstance(value, int | float):
                figures[LATENCIES[name]] = (float(value), "ms")
    return Measured(figures=figures, conversion=_flat(version.conversion))


def _flat(conversion: dict[str, object]) -> dict[str, object]:
    """The figures of a conversion without lists of rows."""
    return {name: value for name, value in conversion.items() if not isinstance(value, list)}
