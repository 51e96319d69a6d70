"""Pages of models and of the versions that each has."""

from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.access import Permission
from apps.accounts.keyset import keyset
from apps.accounts.models import Team
from apps.accounts.pages import page
from apps.events.models import Event
from apps.registry.models import ModelVersion, RegisteredModel, Validation
from apps.registry.selectors import get_model
from apps.registry.views.words import TIMELINE, metric_names


@require_GET
@page(Permission.VIEW)
def model_list(request: HttpRequest) -> HttpResponse:
    """Every model, filtered by `name` and `team`."""
    in_production = (
        ModelVersion.objects.at_the_top()
        .filter(model=OuterRef("pk"))
        .order_by("-approved_at")
        .values("number")[:1]
    )
    models = RegisteredModel.objects.select_related("team").annotate(
        production_number=Subquery(in_production)
    )
    if name := request.GET.get("name"):
        models = models.filter(name__icontains=name)
    if team := request.GET.get("team"):
        models = models.filter(team__key=team)
    context = {
        "page": keyset(request, models),
        "total": RegisteredModel.objects.count(),
        "teams": Team.objects.all(),
    }
    return render(request, "registry/model_list.html", context)


@require_GET
@page(Permission.VIEW)
def model(request: HttpRequest, name: str) -> HttpResponse:
    """One model and its versions."""
    found = get_model(name)
    checks = Validation.objects.filter(version=OuterRef("pk")).order_by("-id").values("state")[:1]
    rows = keyset(request, found.versions.annotate(checks_state=Subquery(checks)))
    names = metric_names(rows.rows)
    for row in rows.rows:
        row.metric_values = [row.metrics.get(metric) for metric in names]
    production = found.versions.at_the_top().order_by("-approved_at").first()
    context = {
        "model": found,
        "page": rows,
        "metric_names": names,
        "production": production,
        "production_words": f"in production: v{production.number}" if production else "",
        "events": Event.objects.filter(object_key__startswith=f"version:{name}/")[:TIMELINE]
        if rows.rows
        else Event.objects.for_object(found.key)[:TIMELINE],
        "import_snippet": f'POST /api/v1/models/{name}/versions  {{"run_id": "…"}}',
    }
    return render(request, "registry/model.html", context)
