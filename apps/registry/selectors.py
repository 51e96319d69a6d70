"""Reads that join this app's tables, for pages, the API and the floors above."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from apps.registry.comparison import Difference, compare
from apps.registry.errors import ModelNotFound, NotFound, VersionNotFound
from apps.registry.evidence import incumbent, side
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
    Validation,
)
from apps.registry.promotion import Allowance, allowance

__all__ = [
    "Allowance",
    "get_model",
    "get_promotion",
    "get_validation",
    "get_version",
    "production_at",
    "traffic_allowance",
    "version_key",
    "version_page",
]

MAX_NUMBER = 2**31 - 1
PAGE_ROWS = 25


@dataclass(frozen=True)
class InProduction:
    """A version that was in production at some moment: since when, and by which transition.

    `transition.request` is the promotion request with its evidence (None when reinstated).
    """

    version: ModelVersion
    since: datetime
    transition: StageTransition


@dataclass(frozen=True)
class VersionPage:
    """What a version's page shows; lists are newest first and cut at PAGE_ROWS."""

    version: ModelVersion
    validation: Validation | None
    transitions: list[StageTransition]
    requests: list[PromotionRequest]
    incumbent: ModelVersion | None
    differences: list[Difference]
    traffic: Allowance


def get_model(name: str) -> RegisteredModel:
    """The model of that name, with its team and owner. Raises ModelNotFound."""
    found = RegisteredModel.objects.select_related("team", "owner").filter(name=name).first()
    if found is None:
        raise ModelNotFound(f"there is no model {name!r}", field="model")
    return found


def get_version(model_name: str, ref: str) -> ModelVersion:
    """A version by number ("3") or semantic version ("2.0.1"), with its model and team.

    Raises ModelNotFound or VersionNotFound.
    """
    versions = ModelVersion.objects.select_related("model__team", "model__owner")
    found = _referred(versions.filter(model__name=model_name), str(ref)).first()
    if found is None:
        get_model(model_name)
        raise VersionNotFound(f"model {model_name!r} has no version {ref!r}", field="version")
    return found


def _referred(versions: QuerySet[ModelVersion], ref: str) -> QuerySet[ModelVersion]:
    if not (ref.isascii() and ref.isdecimal()):
        return versions.filter(semantic_version=ref) if "." in ref else versions.none()
    return versions.filter(number=int(ref)) if int(ref[:20]) <= MAX_NUMBER else versions.none()


def get_validation(validation_id: UUID) -> Validation:
    """A validation with its version. Raises NotFound."""
    rows = Validation.objects.select_related("version__model__team")
    found = rows.filter(pk=validation_id).first()
    if found is None:
        raise NotFound(f"there is no validation {validation_id}")
    return found


def get_promotion(promotion_id: UUID) -> PromotionRequest:
    """A promotion request with its version. Raises NotFound."""
    rows = PromotionRequest.objects.select_related("version__model__team")
    found = rows.filter(pk=promotion_id).first()
    if found is None:
        raise NotFound(f"there is no promotion request {promotion_id}")
    return found


def version_key(version: ModelVersion) -> str:
    """How a version is named across the system: "flights/2"."""
    return version.version_key


def traffic_allowance(version: ModelVersion) -> Allowance:
    """Which traffic a version may get: by its stage, if what was approved is what is there."""
    return allowance(
        version.allowance,
        approved_digest=version.approved_digest,
        signed_digest=version.signed_digest(),
    )


def production_at(model: RegisteredModel, at: datetime) -> list[InProduction]:
    """Versions that were in production at `at`, the newest arrival first."""
    standing = StageTransition.objects.into_the_top().standing(at)
    # All models' first, which are about as many as models: the database cannot know how few of one
    # model's versions ever moved, and would look at all of them.
    rows = (
        StageTransition.objects.filter(pk__in=list(standing.values_list("pk", flat=True)))
        .filter(version__model=model)
        .select_related("version__model", "request")
        .order_by("-occurred_at", "-id")
    )
    return [InProduction(row.version, row.occurred_at, row) for row in rows]


def version_page(version: ModelVersion) -> VersionPage:
    """A version with its newest validation, its history, and what differs from the incumbent."""
    before = incumbent(version)
    return VersionPage(
        version=version,
        validation=version.validations.order_by("-id").first(),
        transitions=list(version.transitions.select_related("request")[:PAGE_ROWS]),
        requests=list(version.requests.order_by("-id")[:PAGE_ROWS]),
        incumbent=before,
        differences=compare(side(before), side(version)) if before else [],
        traffic=traffic_allowance(version),
    )
