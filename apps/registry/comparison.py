"""What changes from one version to another, as rows a person can read. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.schema import FeatureSpec, ModelSchema


@dataclass(frozen=True)
class Side:
    """What is compared of a version."""

    framework: str
    schema: ModelSchema
    metrics: Mapping[str, Any]
    parameters: Mapping[str, Any]
    data: Mapping[str, Any]
    code: Mapping[str, Any]
    threshold: float
    labels: Mapping[str, str]
    size_bytes: int


@dataclass(frozen=True)
class Difference:
    """One row: the field, its value before and after, and whether they differ."""

    label: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the two values differ."""
        return self.before != self.after


def compare(before: Side, after: Side) -> list[Difference]:
    """Rows for framework, data, code, schema, threshold, labels, size, metrics and parameters."""
    return [
        Difference("Framework", before.framework, after.framework),
        *_mapping("Data", before.data, after.data),
        *_mapping("Code", before.code, after.code),
        _features(before.schema, after.schema),
        *_preprocessing(before.schema, after.schema),
        Difference("Decision threshold", f"{before.threshold:g}", f"{after.threshold:g}"),
        Difference("Labels", _labels(before.labels), _labels(after.labels)),
        Difference("Size", _size(before.size_bytes), _size(after.size_bytes)),
        *_mapping("", before.metrics, after.metrics),
        *_mapping("", before.parameters, after.parameters),
    ]


def _mapping(
    prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        words = name.replace("_", " ")
        label = f"{prefix}: {words}" if prefix else words.capitalize()
        yield Difference(label, in_words(before.get(name)), in_words(after.get(name)))


def in_words(value: object) -> str:
    """A logged value as a person would write it: data sets by name and digest, no brackets."""
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return _named(value) or ", ".join(f"{key}: {in_words(of)}" for key, of in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(in_words(each) for each in value)
    return str(value)


def _named(value: Mapping[str, object]) -> str:
    """What has a name goes by it, and by the digest that tells it from others of that name."""
    name, digest = value.get("name"), value.get("digest")
    return f"{name} ({str(digest)[:12]})" if name and digest else ""


def _features(before: ModelSchema, after: ModelSchema) -> Difference:
    old = {feature.name: feature for feature in before.features}
    new = {feature.name: feature for feature in after.features}
    changes = [f"+ {name}" for name in new if name not in old]
    changes += [f"- {name}" for name in old if name not in new]
    changes += [f"~ {name}" for name in new if _differs(old.get(name), new[name])]
    count = f"{len(new)} features"
    after_text = f"{count}: {', '.join(changes)}" if changes else count
    return Difference("Input schema", f"{len(old)} features", after_text)


def _preprocessing(before: ModelSchema, after: ModelSchema) -> Iterator[Difference]:
    old, new = _chain(before), _chain(after)
    if before.preprocessing or after.preprocessing:
        changed = old == new and before.preprocessing != after.preprocessing
        yield Difference("Preprocessing", old, f"{new}, other values" if changed else new)


def _chain(schema: ModelSchema) -> str:
    return " → ".join(type(step).__name__.lower() for step in schema.preprocessing) or "–"


def _differs(before: FeatureSpec | None, after: FeatureSpec) -> bool:
    return before is not None and before != after


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in sorted(labels.items())) or "–"


def _size(value: int) -> str:
    return f"{value / 1000:.1f} kB" if value < 1_000_000 else f"{value / 1_000_000:.1f} MB"
