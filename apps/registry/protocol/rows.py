"""Models and versions as far as MLflow's clients see them, read in few queries and without objects.

A page of versions takes three queries, whatever it holds: rows, names, aliases. A page of models
takes four: the rows say which versions are the latest, then come those as above.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from django.db.models import BigIntegerField, Func, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.functions import Cast

from apps.registry.models import ModelAlias, ModelVersion, RegisteredModel
from apps.registry.promotion import UNAPPROVED_STAGES, Allowance, Stage


class Microseconds(Func):
    """A moment as microseconds since 1970: numbers are read far sooner than dates."""

    template = "(extract(epoch from %(expressions)s) * 1000000)::bigint"
    output_field = BigIntegerField()


class VersionRow(msgspec.Struct, gc=False):
    """A version; `aliases` are the names that point at it, times are in microseconds."""

    pk: int
    model_id: int
    number: int
    stage: str
    allowance: str
    status: str
    status_detail: str
    description: str
    source: str
    run_id: str
    run_link: str
    created_by: str
    created_at: int
    updated_at: int
    tags: dict[str, Any]
    name: str = ""
    aliases: list[str] = []


class ModelRow(msgspec.Struct, gc=False):
    """A model; `latest` holds its newest version in each of MLflow's stages, times as above."""

    pk: int
    name: str
    description: str
    owner: str
    created_at: int
    updated_at: int
    tags: dict[str, Any]
    latest_keys: tuple[int | None, ...] = ()
    latest: list[VersionRow] = []
    aliases: dict[str, int] = {}


MOMENTS_AND_TAGS = (
    *(Microseconds("created_at"), Microseconds("updated_at")),
    Cast("tags", TextField()),
)
VERSION_COLUMNS = (
    *("pk", "model_id", "number", "stage", "allowance", "status", "status_detail"),
    *("description", "source", "run_id", "run_link", "created_by"),
    *MOMENTS_AND_TAGS,
)
MODEL_COLUMNS = ("pk", "name", "description", "owner__username", *MOMENTS_AND_TAGS)
# As the partial index of approved versions has it.
APPROVED = ~Q(stage__in=sorted(UNAPPROVED_STAGES))
OFF_LADDER = Q(stage=Stage.DEPRECATED.value)
TOP = Q(allowance=Allowance.ALL.value)
LATEST = {
    "dev": Q(stage=Stage.DEV.value),
    "staging": APPROVED & ~OFF_LADDER & ~TOP,
    "top": APPROVED & ~OFF_LADDER & TOP,
    "deprecated": APPROVED & OFF_LADDER,
    "archived": Q(stage=Stage.ARCHIVED.value),
}


def versions(
    found: QuerySet[ModelVersion], names: Mapping[int, str] | None = None
) -> list[VersionRow]:
    """The rows of a query; `names` are those of the models, by key, where they are known."""
    rows: Iterable[tuple[Any, ...]] = found.values_list(*VERSION_COLUMNS)
    listed = [VersionRow(*(*values[:-1], _tags(values[-1]))) for values in rows]
    of_models = {row.model_id for row in listed}
    known = names if names is not None else _names(of_models)
    aliases = _aliases(of_models)
    for row in listed:
        row.name = known[row.model_id]
        row.aliases = aliases.get(row.pk, [])
    return listed


def models(found: QuerySet[RegisteredModel]) -> list[ModelRow]:
    """The rows of a query, with their latest versions and their aliases."""
    latest = {f"latest_{word}": _latest(which) for word, which in LATEST.items()}
    columns: tuple[Any, ...] = (*MODEL_COLUMNS, *latest)
    listed = [_model(values) for values in found.annotate(**latest).values_list(*columns)]
    keys = [key for row in listed for key in row.latest_keys if key is not None]
    by_model = defaultdict(list)
    for version in versions(
        ModelVersion.objects.filter(pk__in=keys).order_by("number"),
        {row.pk: row.name for row in listed},
    ):
        by_model[version.model_id].append(version)
    aliases = _aliases_of_models(row.pk for row in listed)
    for row in listed:
        row.latest = _one_a_stage(by_model[row.pk])
        row.aliases = aliases.get(row.pk, {})
    return listed


_tags = msgspec.json.Decoder(dict[str, Any]).decode


def _model(values: tuple[Any, ...]) -> ModelRow:
    *known, tags = values[: len(MODEL_COLUMNS)]
    row = ModelRow(*(*known, _tags(tags)))
    row.latest_keys = values[len(MODEL_COLUMNS) :]
    return row


def _latest(which: Q) -> Subquery:
    of_model = ModelVersion.objects.filter(which, model=OuterRef("pk"))
    return Subquery(of_model.order_by("-number").values("pk")[:1])


def _one_a_stage(found: list[VersionRow]) -> list[VersionRow]:
    """Deprecated and archived are one stage to MLflow; `found` is sorted by number."""
    off = [row for row in found if row.stage in (Stage.DEPRECATED, Stage.ARCHIVED)]
    return [row for row in found if row not in off[:-1]]


def _names(keys: Iterable[int]) -> dict[int, str]:
    return dict(RegisteredModel.with_deleted.filter(pk__in=keys).values_list("pk", "name"))


def _aliases(keys: Iterable[int]) -> dict[int, list[str]]:
    """Names of aliases, by the version that they point at."""
    found: dict[int, list[str]] = defaultdict(list)
    rows = ModelAlias.objects.filter(model__in=list(keys)).order_by("name")
    for version, name in rows.values_list("version", "name"):
        found[version].append(name)
    return found


def _aliases_of_models(keys: Iterable[int]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = defaultdict(dict)
    rows = ModelAlias.objects.filter(model__in=list(keys)).order_by("name")
    for model, name, number in rows.values_list("model", "name", "version__number"):
        found[model][name] = number
    return found
