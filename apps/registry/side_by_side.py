"""Any two versions of a model beside each other, section by section. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.registry.comparison import Side, in_words
from contracts.schema import FeatureSpec

HIGHER = ("acc", "auc", "precision", "recall", "f1", "r2", "score", "agreement", "lift", "gini")
LOWER = ("loss", "rmse", "mae", "mse", "brier", "error", "latency", "ece", "deviance", "p95", "p99")


@dataclass(frozen=True)
class Row:
    """One line: a value on either side, how far apart they are, and whether the right is better.

    `better` is None where nobody knows which direction is good.
    """

    label: str
    left: str
    right: str
    delta: str = ""
    better: bool | None = None

    @property
    def changed(self) -> bool:
        """Whether the two values differ."""
        return self.left != self.right


@dataclass(frozen=True)
class Section:
    """Rows that belong together; `same` of them are left out because nothing changed."""

    slug: str
    title: str
    rows: Sequence[Row]
    same: int = 0

    @property
    def changed(self) -> int:
        """How many rows differ."""
        return sum(row.changed for row in self.rows)


@dataclass(frozen=True)
class Measured:
    """What was measured of a version besides its metrics: name in words -> (value, unit)."""

    figures: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    conversion: Mapping[str, Any] = field(default_factory=dict)


def sections(left: Side, right: Side, *, before: Measured, after: Measured) -> list[Section]:
    """Metrics, parameters, schema, data, code, serving and conversion; empty ones are left out."""
    found = [
        Section("metrics", "Metrics", list(_metrics(left.metrics, right.metrics))),
        Section("parameters", "Parameters", list(_values(left.parameters, right.parameters))),
        _schema(left, right),
        Section("data", "Data", list(_values(left.data, right.data))),
        Section("code", "Code", list(_values(left.code, right.code))),
        Section("serving", "What is served", list(_served(left, right, before, after))),
        Section("conversion", "Conversion", list(_values(before.conversion, after.conversion))),
    ]
    return [section for section in found if section.rows or section.same]


def direction(name: str) -> int:
    """1 where more of a metric is better, -1 where less is, 0 where its name does not tell."""
    lowered = name.lower()
    if any(part in lowered for part in LOWER):
        return -1
    return 1 if any(part in lowered for part in HIGHER) else 0


def _metrics(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Row]:
    for name in dict.fromkeys([*left, *right]):
        yield _numbers(name.replace("_", " "), left.get(name), right.get(name), direction(name))


def _numbers(label: str, old: object, new: object, good: int, unit: str = "") -> Row:
    """Two figures with their difference; `good` is the direction that is better."""
    ending = f" {unit}" if unit else ""
    left, right = (f"{in_words(one)}{'' if one is None else ending}" for one in (old, new))
    if not _is_number(old) or not _is_number(new) or old == new:
        return Row(label, left, right)
    apart = float(new) - float(old)  # type: ignore[arg-type]  # both are numbers, see above
    share = f" ({apart / abs(float(old)):+.1%})" if old else ""  # type: ignore[arg-type]  # as above
    better = apart * good > 0 if good else None
    words = f"{apart:+.3g}{ending}{share}".replace("-", "−")
    return Row(label, left, right, delta=words, better=better)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Row]:
    for name in dict.fromkeys([*left, *right]):
        words = name.replace("_", " ").capitalize()
        yield Row(words, in_words(left.get(name)), in_words(right.get(name)))


def _schema(left: Side, right: Side) -> Section:
    """Features that came, went or changed; the others are only counted."""
    old = {feature.name: _feature(feature) for feature in left.schema.features}
    new = {feature.name: _feature(feature) for feature in right.schema.features}
    names = dict.fromkeys([*old, *new])
    rows = [Row(name, old.get(name, "–"), new.get(name, "–")) for name in names]
    chains = [Row("preprocessing", _chain(left), _chain(right))]
    if left.schema.preprocessing != right.schema.preprocessing and not chains[0].changed:
        chains = [Row("preprocessing", _chain(left), f"{_chain(right)}, other values")]
    changed = [row for row in [*rows, *chains] if row.changed]
    return Section("schema", "Schema", changed, same=sum(not row.changed for row in rows))


def _chain(side: Side) -> str:
    return " → ".join(type(step).__name__.lower() for step in side.schema.preprocessing) or "–"


def _feature(feature: FeatureSpec) -> str:
    parts = [str(feature.kind), "required" if feature.required else "optional"]
    if feature.nullable:
        parts.append("may be null")
    if feature.categories:
        parts.append(f"one of {', '.join(map(str, feature.categories))}")
    if feature.minimum is not None or feature.maximum is not None:
        parts.append(f"{in_words(feature.minimum)} to {in_words(feature.maximum)}")
    return ", ".join(parts)


def _served(left: Side, right: Side, before: Measured, after: Measured) -> Iterator[Row]:
    yield Row("Framework", left.framework, right.framework)
    yield _numbers("Decision threshold", left.threshold, right.threshold, 0)
    yield Row("Labels", _labels(left.labels), _labels(right.labels))
    yield _numbers("Size", left.size_bytes / 1000, right.size_bytes / 1000, -1, "kB")
    for name in dict.fromkeys([*before.figures, *after.figures]):
        old, unit = before.figures.get(name, (None, ""))
        new, unit = after.figures.get(name, (None, unit))
        yield _numbers(name, old, new, -1, unit)


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in sorted(labels.items())) or "–"
