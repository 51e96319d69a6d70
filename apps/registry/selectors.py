"""Reads that join this app's tables, for pages, the API and the floors above."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery

from apps.registry.errors import ModelNotFound, VersionNotFound
from apps.registry.models import ModelVersion, RegisteredModel, StageTransition
from apps.registry.promotion import Allowance, Stage, allowance

__all__ = ["Allowance", "get_model", "get_version", "production_at", "traffic_allowance"]

MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class InProduction:
    """A version that was in production at some moment: since when, and on which request."""

    version: ModelVersion
    since: datetime
    transition: StageTransition


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
    ref = str(ref)
    by = {"number": int(ref)} if ref.isdecimal() else {"semantic_version": ref or "-"}
    found = (
        ModelVersion.objects.select_related("model__team", "model__owner")
        .filter(model__name=model_name, **by)
        .first()
        if not ref.isdecimal() or int(ref) <= MAX_NUMBER
        else None
    )
    if found is None:
        get_model(model_name)
        raise VersionNotFound(f"model {model_name!r} has no version {ref!r}", field="version")
    return found


def version_key(version: ModelVersion) -> str:
    """How a version is named across the system: "flights/2"."""
    return version.version_key


def traffic_allowance(version: ModelVersion) -> Allowance:
    """Which traffic a version may get: by its stage, if what was approved is what is there."""
    return allowance(
        Stage(version.stage),
        approved_digest=version.approved_digest,
        content_digest=version.content_digest(),
    )


def production_at(model: RegisteredModel, at: datetime) -> list[InProduction]:
    """Versions that were in production at `at`, the newest arrival first."""
    newest = (
        StageTransition.objects.filter(version=OuterRef("version"), occurred_at__lte=at)
        .order_by("-occurred_at", "-id")
        .values("pk")[:1]
    )
    rows = (
        StageTransition.objects.filter(version__model=model, occurred_at__lte=at)
        .filter(pk=Subquery(newest), to_stage=Stage.PRODUCTION.value)
        .select_related("version__model", "request")
        .order_by("-occurred_at", "-id")
    )
    return [InProduction(row.version, row.occurred_at, row) for row in rows]
