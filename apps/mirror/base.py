"""Rows as the core takes them: what both sides last agreed on, and what we want there."""

from collections.abc import Iterable

from django.db.models import Q
from django.urls import reverse

from apps.mirror.models import MirroredModel, MirroredVersion
from apps.mirror.reconcile import OurModel, OurVersion
from apps.registry.models import ModelAlias, ModelVersion


def base_of(mirrored: MirroredModel, numbers: Iterable[int] | None = None) -> OurModel | None:
    """The base of a model with these of its versions, by default all; None until it is ours."""
    if mirrored.model_id is None:
        return None
    rows = mirrored.versions.all()
    if numbers is not None:
        rows = rows.filter(number__in=list(numbers))
    return OurModel(
        name=mirrored.name,
        description=mirrored.description,
        tags=mirrored.tags,
        aliases=mirrored.aliases,
        wanted=wanted_aliases(mirrored),
        accepted=mirrored.accepted_aliases,
        versions={row.number: _version(row) for row in rows},
    )


def wanted_aliases(mirrored: MirroredModel) -> dict[str, str]:
    """Our aliases, by the number that their versions have in MLflow."""
    aliases = ModelAlias.objects.filter(model=mirrored.model_id)
    there = MirroredVersion.objects.filter(mirrored=mirrored, gone_at__isnull=True)
    numbers = dict(
        there.filter(version__in=aliases.values("version")).values_list("version_id", "number")
    )
    pairs = aliases.values_list("name", "version_id")
    return {name: str(numbers[version]) for name, version in pairs if version in numbers}


def wanted_tags(version: ModelVersion, *, web_url: str) -> dict[str, str]:
    """What MLflow is told of a version, as tags; empty ones are not there."""
    path = reverse("version", args=[version.model.name, version.number])
    approved_at = version.approved_at.isoformat() if version.approved_at else ""
    return {
        "switchyard.stage": version.stage,
        "switchyard.approved_by": version.approved_by,
        "switchyard.approved_at": approved_at,
        "switchyard.digest": version.content_digest(),
        "switchyard.url": f"{web_url.rstrip('/')}{path}",
    }


def mirrored_as(object_key: str) -> Q:
    """Filter of MirroredModel: those of which an object of the event log tells."""
    kind, _, name = object_key.partition(":")
    if kind == "version":
        name = name.rpartition("/")[0]
    return Q(model__name=name) | Q(model__former_names__contains=[name])


def _version(row: MirroredVersion) -> OurVersion:
    return OurVersion(
        number=row.number,
        source=row.source,
        run_id=row.run_id,
        description=row.description,
        tags=row.tags,
        stage=row.stage,
        created_ms=row.created_ms,
        written=row.written,
        digest=row.digest,
        gone=row.gone_at is not None,
    )
