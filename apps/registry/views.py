"""Pages of models, versions and approvals."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission, Principal
from apps.accounts.keyset import keyset
from apps.accounts.models import Team
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.models import Event
from apps.registry import panels, services
from apps.registry.comparison import Difference, compare, in_words
from apps.registry.declaration import steps_in_words
from apps.registry.evidence import incumbent as incumbent_of
from apps.registry.evidence import side
from apps.registry.models import (
    OPEN_VALIDATIONS,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    Validation,
)
from apps.registry.promotion import (
    Decider,
    RequestState,
    Stage,
    next_promotion,
    refusal,
)
from apps.registry.selectors import get_model, get_promotion, get_version, version_page

TIMELINE = 25
METRIC_COLUMNS = 3
STAGE_WORDS = {
    Stage.DEV: "In development: it gets no traffic, whoever asks.",
    Stage.STAGING: "In staging: shadow and test traffic only.",
    Stage.PRODUCTION: "In production: endpoints may send it any traffic.",
    Stage.DEPRECATED: "Deprecated: it still serves, and is kept for an instant return.",
    Stage.ARCHIVED: "Archived: it serves nothing and cannot come back.",
}


@require_GET
@page(Permission.VIEW)
def model_list(request: HttpRequest) -> HttpResponse:
    """Every model, filtered by `name` and `team`."""
    in_production = (
        ModelVersion.objects.filter(model=OuterRef("pk"), stage=Stage.PRODUCTION.value)
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
    names = _metric_names(rows.rows)
    for row in rows.rows:
        row.metric_values = [row.metrics.get(metric) for metric in names]
    production = found.versions.at_stage(Stage.PRODUCTION).order_by("-approved_at").first()
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


def _metric_names(versions: list[ModelVersion]) -> list[str]:
    names = dict.fromkeys(name for version in versions for name in version.metrics)
    return list(names)[:METRIC_COLUMNS]


@require_GET
@page(Permission.VIEW)
def version(request: HttpRequest, name: str, ref: str) -> HttpResponse:
    """One version: evidence, schema, lineage, and what promotion needs."""
    found = get_version(name, ref)
    principal = principal_of(request)
    schema = found.schema()
    shown = version_page(found)
    validation = shown.validation
    asked_for = (one for one in shown.requests if one.state == RequestState.REQUESTED)
    open_request = next(asked_for, None)
    target = next_promotion(Stage(found.stage))
    passed = validation is not None and validation.state == "passed"
    context = {
        "model": found.model,
        "version": found,
        "validation": validation,
        "validation_open": validation is not None and validation.state in OPEN_VALIDATIONS,
        "checks_words": _checks_words(validation.checks if validation else []),
        "open_request": open_request,
        "next_stage": target,
        "state_words": _state_words(found, open_request),
        "stage_words": STAGE_WORDS[Stage(found.stage)],
        "needs": _needs(target, passed=passed, asked=open_request is not None),
        "can_validate": principal.can(Permission.VALIDATE, found.model.team.key),
        "can_request": passed
        and target is not None
        and principal.can(Permission.REQUEST_PROMOTION, found.model.team.key),
        "request_title": f"Request {target} for {name} v{found.number}",
        "request_hidden": {"stage": str(target)},
        "incumbent": shown.incumbent,
        "comparison": shown.differences,
        "lineage": _lineage(found),
        "schema": schema,
        "steps": steps_in_words(schema.preprocessing),
        "panels": panels.render(found),
        "events": Event.objects.timeline(_keys(found))[:TIMELINE],
    }
    return render(request, "registry/version.html", context)


def _lineage(version: ModelVersion) -> list[tuple[str, str]]:
    """What is known of the data and the code, in words."""
    parts = (("Data", version.data_lineage), ("Code", version.code_lineage))
    return [
        (f"{part}: {name.replace('_', ' ')}", in_words(value))
        for part, known in parts
        for name, value in known.items()
    ]


@require_POST
@page(Permission.VALIDATE)
def validate(request: HttpRequest, name: str, ref: str) -> HttpResponse:
    """Run the checks of a version."""
    found = get_version(name, ref)
    services.start_validation(actor=principal_of(request), version=found)
    messages.success(request, f"Checks of {name} v{found.number} are running.")
    return redirect("version", name, ref)


@require_POST
@page(Permission.REQUEST_PROMOTION)
def request_promotion(request: HttpRequest, name: str, ref: str) -> HttpResponse:
    """Ask for a version's promotion."""
    found = get_version(name, ref)
    asked = services.request_promotion(
        actor=principal_of(request),
        version=found,
        stage=request.POST.get("stage", ""),
        reason=reason_of(request),
    )
    messages.success(request, f"{name} v{found.number} waits for an approver.")
    return redirect("approval", asked.pk)


@require_GET
@page(Permission.VIEW)
def approval_list(request: HttpRequest) -> HttpResponse:
    """Promotion requests by `state`; the open ones by default."""
    tabs = ["requested", "approved", "rejected", "all"]
    state = request.GET.get("state", tabs[0])
    rows = PromotionRequest.objects.select_related("version__model")
    if state != "all":
        rows = rows.filter(state=state)
    listed = keyset(request, rows)
    for row in listed.rows:
        row.passed_words = _checks_words(row.evidence.get("checks", []))
    waiting = PromotionRequest.objects.open(now=timezone.now()).count()
    context = {
        "page": listed,
        "tabs": tabs,
        "state": state,
        "state_words": f"{waiting} waiting for a decision." if waiting else "Nothing waits.",
        "empty_title": "Nothing waits" if state == "requested" else f"None {state}",
    }
    return render(request, "registry/approval_list.html", context)


@require_GET
@page(Permission.VIEW)
def approval(request: HttpRequest, promotion_id: UUID) -> HttpResponse:
    """The page that an approver signs."""
    promotion = get_promotion(promotion_id)
    found = promotion.version
    principal = principal_of(request)
    is_open = promotion.state == RequestState.REQUESTED and promotion.expires_at > timezone.now()
    refused = _refusal(principal, promotion)
    incumbent = incumbent_of(found)
    checks = promotion.evidence.get("checks", [])
    context = {
        "promotion": promotion,
        "promotion_words": "needs 1 approval" if is_open else promotion.state,
        "version": found,
        "model": found.model,
        "open": is_open,
        "changed": is_open and promotion.digest != found.content_digest(),
        "checks": checks,
        "checks_words": _checks_words(checks),
        "checks_state": "passed" if _all_pass(checks) else "failed",
        "can_decide": is_open and not refused,
        "can_withdraw": is_open and principal.human_key == promotion.requester,
        "refusal": refused if is_open else "",
        "stats": _stats(found, incumbent, checks),
        "incumbent": incumbent,
        "comparison": _comparison(incumbent, found),
        "rollback_words": _rollback_words(incumbent),
        "approve_body": f"You sign digest {promotion.digest[:12]} with the evidence on this page.",
        "panels": panels.render(found),
        "events": Event.objects.timeline([promotion.key, *_keys(found)])[:TIMELINE],
    }
    return render(request, "registry/approval.html", context)


@require_POST
@page(Permission.VIEW)
def decide(request: HttpRequest, promotion_id: UUID, decision: str) -> HttpResponse:
    """Approve, reject or withdraw; the service asks for the permission that each needs."""
    promotion = get_promotion(promotion_id)
    service = {
        "approve": services.approve,
        "reject": services.reject,
        "withdraw": services.withdraw,
    }[decision]
    service(actor=principal_of(request), request=promotion, reason=reason_of(request))
    version = promotion.version
    done = {"approve": "approved", "reject": "rejected", "withdraw": "withdrawn"}[decision]
    messages.success(request, f"{version.model.name} v{version.number}: {done}.")
    return redirect("approval", promotion_id)


def _keys(version: ModelVersion) -> list[str]:
    requests = version.requests.order_by("-id").values_list("pk", flat=True)[:TIMELINE]
    return [version.key, *(f"promotion:{key}" for key in requests)]


def _comparison(incumbent: ModelVersion | None, version: ModelVersion) -> list[Difference]:
    return compare(side(incumbent), side(version)) if incumbent else []


def _refusal(principal: Principal, promotion: PromotionRequest) -> str:
    version = promotion.version
    if not principal.can(Permission.APPROVE, version.model.team.key):
        return f"you are not an approver of team {version.model.team}"
    decider = Decider(kind=principal.kind, human_key=principal.human_key)
    return refusal(decider, requester=promotion.requester, author=version.author) or ""


def _all_pass(checks: list[dict[str, Any]]) -> bool:
    return bool(checks) and all(check["verdict"] == "pass" for check in checks)


def _checks_words(checks: list[dict[str, Any]]) -> str:
    passed = sum(check["verdict"] == "pass" for check in checks)
    return f"{passed} of {len(checks)} checks pass" if checks else "no checks"


def _state_words(version: ModelVersion, open_request: PromotionRequest | None) -> str:
    if open_request is not None:
        return f"Waits for an approver to let it into {open_request.target_stage}."
    return STAGE_WORDS[Stage(version.stage)]


def _needs(target: Stage | None, *, passed: bool, asked: bool) -> list[str]:
    if target is None:
        return []
    done = [(passed, "checks of exactly this content pass"), (asked, "somebody asks for it")]
    needs = [text for is_done, text in done if not is_done]
    return [f"{target.capitalize()} needs that {text}." for text in needs] + [
        f"{target.capitalize()} needs the signature of a second person."
    ]


def _stats(
    version: ModelVersion, incumbent: ModelVersion | None, checks: list[dict[str, Any]]
) -> list[dict[str, str]]:
    """Up to three metrics beside the incumbent's, and the measured latency."""
    stats = []
    for name in _metric_names([version]):
        old = incumbent.metrics.get(name) if incumbent else None
        context = (
            f"v{incumbent.number} {old:.4g}" if incumbent and old is not None else "no incumbent"
        )
        value = f"{version.metrics[name]:.4g}"
        stats.append({"label": name.replace("_", " "), "value": value, "context": context})
    for check in checks:
        p95 = check.get("figures", {}).get("p95_ms")
        if p95 is not None:
            stats.append(
                {
                    "label": "Latency, one row",
                    "value": f"{p95:.2g} ms",
                    "context": "p95, on its own",
                }
            )
    return stats[:4]


def _rollback_words(incumbent: ModelVersion | None) -> str:
    if incumbent is None:
        return "There is nothing to return to: the endpoint would have no version left."
    return (
        f"Back to v{incumbent.number} in one step, for everyone. It stays loaded for 7 days; "
        "the error guardrail withdraws a failing candidate by itself."
    )
