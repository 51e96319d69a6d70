"""The card of a version, from the tables."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from django.utils.safestring import SafeString

from apps.registry.card.filling import unknown
from apps.registry.card.markdown import to_html
from apps.registry.card.writing import Approval, Facts, Figure, markdown
from apps.registry.checks.measured import HEADLINE, measured
from apps.registry.evaluation.statistics import Estimate
from apps.registry.evaluation.table import Evaluated, estimates
from apps.registry.models import CardEdition, ModelVersion
from apps.registry.promotion import RequestState
from contracts.schema import ModelSchema

CONFIDENCE = 0.95
MOST_SLICES = 50


@dataclass(frozen=True)
class Card:
    """A version's card: as Markdown, as HTML, and the names in it that mean nothing."""

    markdown: str
    html: SafeString
    unknown: list[str]
    edition: CardEdition | None


def card_of(version: ModelVersion) -> Card:
    """The card as it stands now: the newest words of the owner, this version's figures."""
    edition = version.model.card_editions.first()
    facts = _facts(version, edition.text if edition else "")
    text = markdown(facts)
    return Card(text, to_html(text), unknown(facts.owner_text, facts.figures()), edition)


def _facts(version: ModelVersion, owner_text: str) -> Facts:
    model = version.model
    validation = version.validations.order_by("-id").first()
    known = measured(version)
    return Facts(
        model=model.name,
        number=version.number,
        semantic_version=version.semantic_version,
        description=model.description,
        owner=model.owner.username,
        team=model.team.name,
        tier=model.tier,
        stage=version.stage,
        framework=version.framework,
        size_bytes=version.size_bytes,
        threshold=version.decision_threshold,
        labels=version.label_map,
        schema=schema_of(version),
        metrics=version.metrics,
        parameters=version.parameters,
        data=version.data_lineage,
        code=version.code_lineage,
        run_id=version.run_id,
        artifact_digest=version.artifact_digest,
        owner_text=owner_text,
        measured=[_figure(name, one) for name, one in known.figures.items()],
        slices=list(_slices(known.table)) if known.table else [],
        checks=validation.checks if validation else [],
        approvals=_approvals(version),
    )


def _figure(name: str, one: Estimate) -> Figure:
    interval = one.interval(CONFIDENCE)
    if interval is None:
        return Figure(name, one.value, one.rows)
    return Figure(name, one.value, one.rows, interval.low, interval.high)


def _slices(table: Evaluated) -> Iterator[Figure]:
    """The headline figure of every slice that the evaluation table tells apart."""
    for column, cells in table.groups.items():
        for value, cell in list(cells.items())[:MOST_SLICES]:
            found = estimates(table, cell)
            headline = next((name for name in HEADLINE if name in found), None)
            if headline is not None:
                yield _figure(f"{column} = {value}, {headline}", found[headline])


def schema_of(version: ModelVersion) -> ModelSchema | None:
    """The typed schema, or None while there is none."""
    try:
        return version.schema()
    except msgspec.ValidationError:
        return None


def _approvals(version: ModelVersion) -> list[Approval]:
    signed = version.requests.filter(state=RequestState.APPROVED.value).order_by("id")
    return [
        Approval(
            stage=one.target_stage,
            approver=one.decided_by_key,
            decided_at=one.decided_at,
            digest=one.digest,
            reason=one.decision_reason,
        )
        for one in signed
    ]
