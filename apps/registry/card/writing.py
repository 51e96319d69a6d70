"""The Markdown of a card, section by section, from what is known of a version. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.registry.card.filling import filled
from apps.registry.card.markdown import literal, table
from apps.registry.comparison import in_words
from contracts.schema import FeatureSpec, ModelSchema

NOTHING = "Nothing is known of it."


@dataclass(frozen=True)
class Approval:
    """One signature: who let the version into which stage, when, on which content."""

    stage: str
    approver: str
    decided_at: datetime | None
    digest: str
    reason: str


@dataclass(frozen=True)
class Figure:
    """A metric, of all evaluated rows or of a slice; its 95 % interval where that is known."""

    name: str
    value: float
    rows: int = 0
    low: float | None = None
    high: float | None = None

    def cells(self) -> list[object]:
        """A row of a table: name, value, interval, rows."""
        known = self.low is not None and self.high is not None
        interval = f"{self.low:.4g} to {self.high:.4g}" if known else "–"
        return [self.name, f"{self.value:.4g}", interval, self.rows or "–"]


@dataclass(frozen=True)
class Facts:
    """What a card is made of. `owner_text` is Markdown; the rest are values."""

    model: str
    number: int
    semantic_version: str
    description: str
    owner: str
    team: str
    tier: str
    stage: str
    framework: str
    size_bytes: int
    threshold: float
    labels: Mapping[str, str]
    schema: ModelSchema | None
    metrics: Mapping[str, Any]
    parameters: Mapping[str, Any]
    data: Mapping[str, Any]
    code: Mapping[str, Any]
    run_id: str
    artifact_digest: str
    owner_text: str = ""
    measured: Sequence[Figure] = ()
    slices: Sequence[Figure] = ()
    checks: Sequence[Mapping[str, Any]] = ()
    approvals: Sequence[Approval] = field(default_factory=tuple)

    def figures(self) -> dict[str, object]:
        """Every figure that the owner's text can name."""
        return {
            "model": self.model,
            "version": self.semantic_version or f"v{self.number}",
            "number": self.number,
            "stage": self.stage,
            "owner": self.owner,
            "team": self.team,
            "threshold": self.threshold,
            "features": len(self.schema.features) if self.schema else 0,
            **{f"metrics.{name}": value for name, value in self.metrics.items()},
            **{f"parameters.{name}": value for name, value in self.parameters.items()},
        }


def markdown(facts: Facts) -> str:
    """The whole card."""
    sections = (
        ("Intended use", _use(facts)),
        ("Data", _data(facts.data)),
        ("Metrics", _metrics(facts)),
        ("Slices", _slices(facts)),
        ("Schema", _schema(facts.schema)),
        ("Limits", _limits(facts)),
        ("Lineage", _lineage(facts)),
        ("Approvals", _approvals(facts.approvals)),
    )
    lines = [f"# {literal(facts.model)} v{facts.number}", "", *_head(facts)]
    for title, body in sections:
        lines += ["", f"## {title}", "", *(list(body) or [NOTHING])]
    return "\n".join(lines) + "\n"


def _head(facts: Facts) -> list[str]:
    rows: list[list[object]] = [
        ["Version", f"{facts.number} {facts.semantic_version}".strip()],
        ["Stage", facts.stage],
        ["Owner", f"{facts.owner}, team {facts.team}"],
        ["Tier", facts.tier],
        ["Framework", facts.framework],
        ["Size", f"{facts.size_bytes:,} bytes".replace(",", " ")],
    ]
    return table(["Fact", "Value"], rows)


def _use(facts: Facts) -> Iterator[str]:
    if facts.description:
        yield literal(facts.description)
    if facts.owner_text.strip():
        yield ""
        yield filled(facts.owner_text.strip(), facts.figures())
    elif not facts.description:
        yield "The owner has not written about it yet."


def _data(known: Mapping[str, Any]) -> list[str]:
    sets = [each for each in known.get("datasets", []) if isinstance(each, Mapping)]
    rows: list[list[object]] = [
        [each.get("name", "–"), each.get("digest", "–"), each.get("source", "–")] for each in sets
    ]
    if not rows and known.get("digest"):
        rows = [["training data", known["digest"], "–"]]
    return table(["Data set", "Digest", "Source"], rows)


MEASURES = ["Metric", "Value", "95 % interval", "Rows"]


def _metrics(facts: Facts) -> list[str]:
    """Each metric with its interval, counted or logged; what cannot be doubted so is just shown."""
    known = {figure.name for figure in facts.measured}
    rows = [figure.cells() for figure in facts.measured]
    rows += [
        [name, in_words(value), "–", "–"]
        for name, value in facts.metrics.items()
        if name not in known
    ]
    return table(MEASURES, rows)


def _slices(facts: Facts) -> list[str]:
    rows = [figure.cells() for figure in facts.slices]
    return table(["Slice", *MEASURES[1:]], rows) or [
        "Nothing is known of slices: log `evaluation.parquet` beside the model."
    ]


def _schema(schema: ModelSchema | None) -> list[str]:
    if schema is None:
        return []
    rows: list[list[object]] = [
        [one.name, one.kind, "yes" if one.required else "no", _values(one)]
        for one in schema.features
    ]
    return table(["Feature", "Type", "Required", "Values"], rows)


def _values(feature: FeatureSpec) -> str:
    if feature.categories:
        return f"{len(feature.categories)} categories"
    if feature.minimum is None and feature.maximum is None:
        return "any"
    return f"{in_words(feature.minimum)} to {in_words(feature.maximum)}"


def _limits(facts: Facts) -> Iterator[str]:
    labels = ", ".join(f"{key} = {value}" for key, value in sorted(facts.labels.items()))
    said = f"; labels: {literal(labels)}" if labels else ""
    yield f"- Decision threshold {facts.threshold:g}{said}."
    for check in facts.checks:
        if check.get("verdict") != "pass":
            name = str(check.get("name", "")).replace("_", " ")
            yield f"- {literal(name.capitalize())}: {literal(check.get('detail', ''))}"
    if facts.schema is not None:
        bounded = sum(_values(one) != "any" for one in facts.schema.features)
        total = len(facts.schema.features)
        yield f"- {bounded} of {total} features have declared ranges or categories."


def _lineage(facts: Facts) -> list[str]:
    rows: list[list[object]] = [["Run", facts.run_id or "–"]]
    rows += [[name.replace("_", " ").capitalize(), value] for name, value in facts.code.items()]
    rows.append(["Artifact SHA-256", facts.artifact_digest or "–"])
    return table(["Step", "What"], rows)


def _approvals(approvals: Sequence[Approval]) -> list[str]:
    rows: list[list[object]] = [
        [
            one.stage,
            one.approver.removeprefix("user:"),
            f"{one.decided_at:%Y-%m-%d %H:%M} UTC" if one.decided_at else "–",
            one.digest[:12],
            one.reason or "–",
        ]
        for one in approvals
    ]
    head = ["Stage", "Approved by", "When", "Content digest", "Why"]
    return table(head, rows) or ["Nobody has approved it yet."]
