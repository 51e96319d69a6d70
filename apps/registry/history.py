"""Who let which version into which stage, when, on what evidence: for any moment."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.events.export import CHUNK, FORMULA
from apps.registry.models import RegisteredModel, StageTransition
from apps.registry.models.promotion import StageTransitionQuerySet

COLUMNS = (
    "model",
    "version",
    "semantic_version",
    "from_stage",
    "to_stage",
    "traffic",
    "at",
    "by",
    "responsible",
    "requested_by",
    "approved_by",
    "reason",
    "broke_glass",
    "glass_broken_by",
    "glass_reason",
    "request",
    "policy",
    "content_digest",
    "evidence_digest",
    "terms_digest",
    "signed_digest",
    "intact",
)


@dataclass(frozen=True)
class HistoryRow:
    """One change of stage with the request behind it; `transition` comes with both."""

    transition: StageTransition

    @property
    def approvers(self) -> list[str]:
        """Humans whose signatures stand, in the order in which they signed."""
        request = self.transition.request
        signed = (
            [one for one in request.approvals.all() if one.voided_at is None] if request else []
        )
        names = [one.human for one in signed]
        # Requests of before signatures were rows have their decider alone.
        return names or ([request.decider] if request and request.decider else [])

    def as_json(self) -> dict[str, Any]:
        """The row under `COLUMNS`; `intact` is whether the evidence is still what was signed."""
        move, request = self.transition, self.transition.request
        return {
            "model": move.version.model.name,
            "version": move.version.number,
            "semantic_version": move.version.semantic_version,
            "from_stage": move.from_stage,
            "to_stage": move.to_stage,
            "traffic": move.to_allowance,
            "at": move.occurred_at,
            "by": move.actor_key,
            "responsible": move.responsible_key,
            "requested_by": request.requester if request else "",
            "approved_by": self.approvers,
            "reason": move.reason,
            "broke_glass": move.broke_glass,
            "glass_broken_by": request.glass_broken_by if request else "",
            "glass_reason": request.glass_reason if request else "",
            "request": str(request.pk) if request else None,
            "policy": request.terms.get("source", "") if request else "",
            "content_digest": move.digest,
            "evidence_digest": request.evidence_digest if request else "",
            "terms_digest": request.terms_digest if request else "",
            "signed_digest": request.signed_digest() if request else "",
            "intact": request.is_intact() if request else None,
        }


def transitions_of(model: RegisteredModel) -> StageTransitionQuerySet:
    """Every change of stage of the model's versions, newest first, deleted versions' too."""
    rows = StageTransition.objects.filter(version__model=model)
    rows = rows.select_related("version__model", "request").prefetch_related("request__approvals")
    return rows.order_by("-id")


def standing_at(
    model: RegisteredModel, at: datetime, *, stage: str = ""
) -> QuerySet[StageTransition]:
    """The changes that had put versions where they stood at `at`; of one stage, or of all."""
    rows = transitions_of(model).standing(at)
    return rows.filter(to_stage=stage) if stage else rows


def as_csv(model: RegisteredModel) -> Iterator[bytes]:
    """The whole history as a table, oldest first, a line of names at the top.

    Each page by its own short query: no cursor stays open while a slow reader reads.
    """
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS).encode()
    ordered = transitions_of(model).order_by("id")
    page = list(ordered[:CHUNK])
    while page:
        told = (HistoryRow(move).as_json() for move in page)
        yield "".join(
            writer.writerow([_cell(one[name]) for name in COLUMNS]) for one in told
        ).encode()
        page = list(ordered.filter(id__gt=page[-1].pk)[:CHUNK])


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _cell(value: Any) -> str:
    """Text of a cell that no spreadsheet takes for a formula."""
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, datetime):
        value = value.isoformat()
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
