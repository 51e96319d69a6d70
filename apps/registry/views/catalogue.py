"""Pages of models: the list, one model with its versions, and what is said about it."""

from collections import Counter
from typing import Any

from django.contrib import messages
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.access import Permission
from apps.accounts.keyset import Page, keyset
from apps.accounts.models import Team, User
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.errors import Invalid
from apps.events.models import Event
from apps.registry import services
from apps.registry.models import (
    ModelAlias,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    Tier,
    Validation,
)
from apps.registry.promotion import CHAMPION, Stage
from apps.registry.search import ModelSearch, VersionSearch
from apps.registry.selectors import get_model
from apps.registry.views.words import TIMELINE, metric_names

SHOWN_TAGS = 4
EDITIONS = 50
CHANGES = ("model.registered", "model.updated", "model.card_written")


@require_GET
@page(Permission.VIEW)
def model_list(request: HttpRequest) -> HttpResponse:
    """Every model, filtered by name, tag, metric, owner, stage, tier and team."""
    search = ModelSearch.read(request.GET)
    rows = keyset(request, _listed(search.among(RegisteredModel.objects.all())))
    waiting = _waiting()
    for row in rows.rows:
        row.waiting = waiting.get(row.pk, 0)
        row.shown_tags = [(key, row.tags[key]) for key in sorted(row.tags)[:SHOWN_TAGS]]
        row.more_tags = max(0, len(row.tags) - SHOWN_TAGS)
    context = {
        "page": rows,
        "search": search,
        "filtered": search != ModelSearch(),
        "total": RegisteredModel.objects.count(),
        "teams": Team.objects.all(),
        "tiers": list(Tier),
        "stages": [stage.value for stage in Stage],
        "owners": _owners(),
    }
    return render(request, "registry/model_list.html", context)


def _listed(models: QuerySet[RegisteredModel]) -> QuerySet[RegisteredModel]:
    """With team, owner, aliases and what is in production."""
    of_model = ModelVersion.objects.filter(model=OuterRef("pk"))
    champion = ModelAlias.objects.filter(model=OuterRef("pk"), name=CHAMPION)
    top = of_model.at_the_top().order_by("-approved_at")
    aliases = ModelAlias.objects.select_related("version").only("name", "model", "version__number")
    return (
        models.select_related("team", "owner")
        .prefetch_related(Prefetch("aliases", aliases))
        .annotate(
            production_number=Coalesce(
                Subquery(champion.values("version__number")[:1]),
                Subquery(top.values("number")[:1]),
            )
        )
    )


def _waiting() -> Counter[int]:
    """How many requests wait, by model. All that wait are few: counted once, not row by row."""
    waiting = PromotionRequest.objects.open(now=timezone.now()).order_by()
    return Counter(waiting.values_list("version__model", flat=True))


def _owners() -> QuerySet[User]:
    owning = RegisteredModel.objects.filter(owner=OuterRef("pk"))
    return User.objects.filter(Exists(owning)).order_by("username").only("username")


@require_GET
@page(Permission.VIEW)
def model(request: HttpRequest, name: str) -> HttpResponse:
    """One model and its versions, filtered by stage, tag, metric and author."""
    found = get_model(name)
    search = VersionSearch.read(request.GET)
    rows = _versions(request, found, search)
    principal = principal_of(request)
    context = {
        **heading(found),
        "tab": "versions",
        "page": rows,
        "search": search,
        "filtered": search != VersionSearch(),
        "stages": [stage.value for stage in Stage],
        "metric_names": metric_names(rows.rows),
        "events": Event.objects.timeline(_keys(found, rows))[:TIMELINE],
        "can_edit": principal.can(Permission.REGISTER, found.team.key),
        "import_snippet": f'POST /api/v1/models/{name}/versions  {{"run_id": "…"}}',
    }
    return render(request, "registry/model.html", context)


def heading(found: RegisteredModel) -> dict[str, Any]:
    """What stands above every page of a model: its champion, its aliases and tags."""
    aliases = list(found.aliases.select_related("version"))
    champion = next((alias.version for alias in aliases if alias.name == CHAMPION), None)
    production = champion or found.versions.at_the_top().order_by("-approved_at").first()
    return {
        "model": found,
        "production": production,
        "production_words": f"in production: v{production.number}" if production else "",
        "aliases": aliases,
        "tags": sorted(found.tags.items()),
    }


def _versions(request: HttpRequest, found: RegisteredModel, search: VersionSearch) -> Page:
    checks = Validation.objects.filter(version=OuterRef("pk")).order_by("-id").values("state")[:1]
    versions = (
        search.among(found.versions.all())
        .annotate(checks_state=Subquery(checks))
        .prefetch_related("aliases")
        .defer("input_schema", "example", "signature", "declared")
    )
    rows = keyset(request, versions)
    names = metric_names(rows.rows)
    for row in rows.rows:
        row.model = found
        row.metric_values = [row.metrics.get(metric) for metric in names]
    return rows


def _keys(found: RegisteredModel, rows: Page) -> list[str]:
    return [*found.keys, *(row.key for row in rows.rows)]


@require_http_methods(["GET", "POST"])
@page(Permission.REGISTER)
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """Change description, owner, tier and tags, with a reason; what was changed before."""
    found = get_model(name)
    if request.method == "POST":
        services.update_model(
            actor=principal_of(request),
            model=found,
            description=request.POST.get("description", "").strip(),
            tier=request.POST.get("tier", found.tier),
            owner=request.POST.get("owner", found.owner.username).strip(),
            tags=tags_of(request.POST.get("tags", "")),
            reason=reason_of(request),
        )
        messages.success(request, f"{name}: changed.")
        return redirect("model", name)
    changed = Q(verb__in=CHANGES)
    context = {
        **heading(found),
        "tag_lines": "\n".join(f"{key}: {value}" for key, value in sorted(found.tags.items())),
        "tiers": list(Tier),
        "people": User.objects.filter(is_active=True).order_by("username")[:500],
        "events": Event.objects.timeline(found.keys).filter(changed)[:EDITIONS],
    }
    return render(request, "registry/model_edit.html", context)


def tags_of(text: str) -> dict[str, str]:
    """Tags as people write them, one "key: value" a line. Raises Invalid naming the line."""
    tags = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            key, colon, value = line.partition(":")
            if not colon or not key.strip():
                raise Invalid(f"line {number} is not “key: value”", field="tags")
            tags[key.strip()] = value.strip()
    return tags
