"""Pages of promotion requests: the inbox, and the page that an approver signs."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission, Principal
from apps.accounts.keyset import keyset
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.models import Event
from apps.registry import panels, services
from apps.registry.comparison import Difference, compare
from apps.registry.evidence import incumbent as incumbent_of
from apps.registry.evidence import side
from apps.registry.models import ModelVersion, PromotionRequest
from apps.registry.promotion import RequestState
from apps.registry.selectors import get_promotion
from apps.registry.services.deciding import refusal_of
from apps.registry.views.words import TIMELINE, checks_words, keys_of, metric_names


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
        row.passed_words = checks_words(row.evidence.get("checks", []))
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
        "checks_words": checks_words(checks),
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
        "events": Event.objects.timeline([promotion.key, *keys_of(found)])[:TIMELINE],
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


def _comparison(incumbent: ModelVersion | None, version: ModelVersion) -> list[Difference]:
    return compare(side(incumbent), side(version)) if incumbent else []


def _refusal(principal: Principal, promotion: PromotionRequest) -> str:
    refused = refusal_of(principal, promotion)
    return str(refused) if refused else ""


def _all_pass(checks: list[dict[str, Any]]) -> bool:
    return bool(checks) and all(check["verdict"] == "pass" for check in checks)


def _stats(
    version: ModelVersion, incumbent: ModelVersion | None, checks: list[dict[str, Any]]
) -> list[dict[str, str]]:
    """Up to three metrics beside the incumbent's, and the measured latency."""
    stats = []
    for name in metric_names([version]):
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
