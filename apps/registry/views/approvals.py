"""Pages of promotion requests: the inbox, and the page that an approver signs."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Prefetch
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
from apps.registry.beside import beside
from apps.registry.card.markdown import to_html
from apps.registry.card.reading import schema_of
from apps.registry.dossier import Dossier, dossier
from apps.registry.errors import ContentChanged
from apps.registry.inbox import Box, InboxFilter, inbox
from apps.registry.models import Approval, Comment, PromotionRequest, Tier, digest_of
from apps.registry.pictures import picture_of
from apps.registry.promotion import RequestState, Stage
from apps.registry.selectors import get_promotion
from apps.registry.services.checking import EXAMINED_LINK
from apps.registry.services.commenting import comment as add_comment
from apps.registry.services.commenting import edit_comment
from apps.registry.side_by_side import Section
from apps.registry.terms import ladder_of
from apps.registry.views.words import TIMELINE, checks_words, keys_of, metric_names

BOXES = {
    Box.MINE: "For you",
    Box.WAITING: "Waiting",
    Box.ASKED: "Asked by you",
    Box.DECIDED: "Decided",
    Box.ALL: "All",
}
EMPTY = {
    Box.MINE: ("Nothing for you to decide", "Requests that you may sign appear here."),
    Box.WAITING: ("Nothing waits", "A request appears here when somebody asks for a promotion."),
    Box.ASKED: ("You have asked for nothing", "Ask for a promotion on a version's page."),
    Box.DECIDED: ("Nothing was decided yet", "Approved and rejected requests stay here."),
    Box.ALL: ("No requests yet", "Ask for a promotion on a version's page."),
}
AGES = (("4", "4 hours"), ("24", "a day"), ("72", "3 days"), ("168", "a week"))
STATES = [state.value for state in RequestState if state is not RequestState.REQUESTED]


@require_GET
@page(Permission.VIEW)
def approval_list(request: HttpRequest) -> HttpResponse:
    """Promotion requests, a box of them at a time, by team, tier, stage, model, state and age."""
    principal, now = principal_of(request), timezone.now()
    wanted = InboxFilter.read(request.GET)
    valid = Approval.objects.filter(voided_at__isnull=True)
    rows = inbox(principal, wanted, now=now).prefetch_related(
        "checks", Prefetch("approvals", valid)
    )
    listed = keyset(request, rows)
    for row in listed.rows:
        row.words = _row_words(row)
    counts = {
        box: inbox(principal, InboxFilter(box=box), now=now).count()
        for box in (Box.MINE, Box.WAITING)
    }
    waiting = counts[Box.WAITING]
    context = {
        "page": listed,
        "wanted": wanted,
        "boxes": [(box.value, title, counts.get(box)) for box, title in BOXES.items()],
        "state_words": f"{waiting} waiting for a decision." if waiting else "Nothing waits.",
        "empty_title": EMPTY[wanted.box][0],
        "empty_body": EMPTY[wanted.box][1],
        "is_open": wanted.box in (Box.MINE, Box.WAITING),
        "filtered": wanted != InboxFilter(box=wanted.box),
        "teams": Team.objects.all(),
        "tiers": list(Tier),
        "stages": [stage.value for stage in Stage if stage is not Stage.DEV],
        "states": STATES,
        "ages": AGES,
        "older": request.GET.get("older_than_h", ""),
    }
    return render(request, "registry/approval_list.html", context)


def _row_words(row: PromotionRequest) -> dict[str, str]:
    checks = [{"verdict": one.verdict} for one in row.checks.all()]
    running = sum(not one["verdict"] for one in checks)
    needed = row.policy().approvals
    signed = len(row.approvals.all())
    known = checks_words(checks or row.evidence.get("checks", []))
    return {
        "checks": f"{running} still running" if running else known,
        "signed": f"{min(signed, needed)} of {needed}",
    }


@require_GET
@page(Permission.VIEW)
def approval(request: HttpRequest, promotion_id: UUID) -> HttpResponse:
    """The page that an approver signs."""
    principal, now = principal_of(request), timezone.now()
    found = dossier(get_promotion(promotion_id), principal, now=now)
    asked = found.request
    version = asked.version
    is_open = found.is_open and asked.expires_at > now
    context = {
        "dossier": found,
        "promotion": asked,
        "version": version,
        "model": version.model,
        "open": is_open,
        "signed": [one for one in found.approvals if one.voided_at is None],
        "state_words": _state_words(found, is_open=is_open),
        "checks": [(run, picture_of(run.figures)) for run in found.checks],
        "frozen_checks": asked.evidence.get("checks", []) if not found.checks else [],
        "checks_words": checks_words(_verdicts(found)),
        "checks_state": "passed" if not found.missing_checks else "attention",
        "running": found.progress[0] < found.progress[1],
        "stats": _stats(found),
        "sections": _sections(found),
        "ladder_title": _title(version.model.team_id, asked.target_stage),
        "comments": [(one, to_html(one.body)) for one in found.comments],
        "me": principal.human_key,
        "pulse": _pulse(asked),
        "approve_body": f"You sign digest {asked.signed_digest()[:12]} with the evidence on this "
        "page.",
        "approve_hidden": {"seen": asked.signed_digest()},
        "rollback_words": _rollback_words(found),
        "panels": panels.render(version),
        "events": Event.objects.timeline([asked.key, *keys_of(version)])[:TIMELINE],
        **_offers(found, principal, is_open=is_open),
    }
    return render(request, "registry/approval.html", context)


def _offers(found: Dossier, principal: Principal, *, is_open: bool) -> dict[str, bool]:
    """What this reader can do here."""
    asked = found.request
    team_key = asked.version.model.team.key
    mine = principal.human_key == asked.requester
    breaks = principal.can(Permission.APPROVE, team_key) or principal.can(
        Permission.REQUEST_PROMOTION, team_key
    )
    return {
        "can_approve": is_open and found.can_sign,
        "can_reject": is_open and not found.refusal,
        "can_withdraw": is_open and (mine or principal.can(Permission.ADMINISTER, team_key)),
        "can_rerun": is_open
        and principal.can(Permission.VALIDATE, team_key)
        and any(not one.link.startswith(EXAMINED_LINK) for one in found.checks),
        "can_break": is_open and not found.is_thawed and breaks and not found.has_signed,
    }


def _verdicts(found: Dossier) -> list[Mapping[str, Any]]:
    if found.checks:
        return [{"verdict": run.verdict} for run in found.checks]
    return list(found.request.evidence.get("checks", []))


def _state_words(found: Dossier, *, is_open: bool) -> str:
    if not is_open:
        return "expired" if found.is_open else found.request.state
    needed = found.policy.approvals
    signed = sum(one.voided_at is None for one in found.approvals)
    if needed == 1:
        return "needs 1 approval"
    return f"needs {max(needed - signed, 0)} of {needed} approvals"


def _title(team_id: int, stage: str) -> str:
    rung = ladder_of(team_id).rung(stage)
    return rung.title if rung else stage.capitalize()


def _sections(found: Dossier) -> list[Section]:
    """What changes against the incumbent, without what stays."""
    before, version = found.incumbent, found.request.version
    if before is None or schema_of(version) is None or schema_of(before) is None:
        return []
    return beside(before, version).sections


def _stats(found: Dossier) -> list[dict[str, str]]:
    """Up to two metrics beside the incumbent's, shadow agreement, latency, blast radius."""
    version, before = found.request.version, found.incumbent
    both = [version, before] if before else [version]
    stats = [_metric(name, version.metrics, before) for name in metric_names(both)[:2]]
    figures: dict[str, Any] = {}
    for check in found.checks or []:
        figures.update({f"{check.name}.{name}": value for name, value in check.figures.items()})
    agreement = figures.get("shadow.agreement")
    if isinstance(agreement, float):
        rows = f"{figures.get('shadow.rows', 0):,} requests, frozen".replace(",", "\u202f")
        stats.append({"label": "Shadow agreement", "value": f"{agreement:.1%}", "context": rows})
    latency = next((value for name, value in figures.items() if name.endswith(".p95_ms")), None)
    if isinstance(latency, int | float):
        label, value = "Latency, one row", f"{latency:.2g} ms"
        stats.append({"label": label, "value": value, "context": "p95, on its own"})
    return [*stats[:3], _radius(found)]


def _metric(name: str, metrics: Mapping[str, Any], before: Any) -> dict[str, str]:
    old = before.metrics.get(name) if before else None
    if name not in metrics:
        return {"label": name.replace("_", " "), "value": "–", "context": f"v{before.number} {old}"}
    context = "no incumbent" if before is None else f"v{before.number} has none"
    if isinstance(old, int | float):
        context = f"v{before.number} {old:.4g} · {metrics[name] - old:+.3g}".replace("-", "−")
    return {"label": name.replace("_", " "), "value": f"{metrics[name]:.4g}", "context": context}


def _radius(found: Dossier) -> dict[str, str]:
    endpoints = found.radius.endpoints
    count = len(endpoints)
    rate = found.radius.requests_per_s
    teams = ", ".join(found.radius.teams)
    return {
        "label": "Blast radius",
        "value": f"{count} endpoint{'' if count == 1 else 's'}",
        "context": f"{rate:,.3g} req/s · {teams}" if rate else teams or "nobody asks for it yet",
    }


def _rollback_words(found: Dossier) -> str:
    if found.incumbent is None:
        return "There is nothing to return to: the endpoint would have no version left."
    return (
        f"Back to v{found.incumbent.number} in one step, for everyone. It stays loaded for "
        "7 days; the error guardrail withdraws a failing candidate by itself."
    )


def _pulse(asked: PromotionRequest) -> str:
    """A digest of what a reader has seen: state, evidence, signatures, talk, glass."""
    return digest_of(
        [
            asked.state,
            asked.signed_digest(),
            asked.version.content_digest(),
            [str(one.pk) for one in asked.approvals.all() if one.voided_at is None],
            asked.comments.count(),
            asked.checks.unfinished().count(),
            asked.glass_broken_by,
        ]
    )[:16]


@require_GET
@page(Permission.VIEW)
def pulse(request: HttpRequest, promotion_id: UUID) -> HttpResponse:
    """Whether anything has changed since the page was opened (`seen`); empty when nothing has."""
    asked = get_promotion(promotion_id)
    if request.GET.get("seen") == _pulse(asked):
        return HttpResponse()
    return render(request, "registry/approval_changed.html", {"promotion": asked})


@require_POST
@page(Permission.VIEW)
def decide(request: HttpRequest, promotion_id: UUID, decision: str) -> HttpResponse:
    """Approve, reject, withdraw or break the glass; the service asks for what each needs."""
    promotion = get_promotion(promotion_id)
    seen = request.POST.get("seen", "")
    if decision == "approve" and seen and seen != promotion.signed_digest():
        raise ContentChanged("what you would sign has changed since you looked: look again")
    done, service = DECISIONS[decision]
    service(actor=principal_of(request), request=promotion, reason=reason_of(request))
    version = promotion.version
    if decision == "approve" and promotion.state == RequestState.REQUESTED:
        done = "signed; it needs more signatures"
    messages.success(request, f"{version.model.name} v{version.number}: {done}.")
    return redirect("approval", promotion_id)


DECISIONS: Mapping[str, tuple[str, Callable[..., PromotionRequest]]] = {
    "approve": ("approved", services.approve),
    "reject": ("rejected", services.reject),
    "withdraw": ("withdrawn", services.withdraw),
    "break-glass": ("the glass is broken; somebody else signs", services.break_glass),
}


@require_POST
@page(Permission.VIEW)
def rerun(request: HttpRequest, promotion_id: UUID) -> HttpResponse:
    """Make the checks of a request again; signatures of the evidence before are void."""
    found = get_promotion(promotion_id)
    again = [one.name for one in found.checks.all() if not one.link.startswith(EXAMINED_LINK)]
    services.rerun_checks(actor=principal_of(request), request=found, names=again)
    messages.success(request, "The checks are made again.")
    return redirect("approval", promotion_id)


@require_POST
@page(Permission.VIEW)
def waive(request: HttpRequest, promotion_id: UUID, check: str) -> HttpResponse:
    """Let a check go that could not tell, where the policy allows it."""
    services.waive_check(
        actor=principal_of(request),
        request=get_promotion(promotion_id),
        name=check,
        reason=reason_of(request),
    )
    messages.success(request, "Waived; the evidence says so.")
    return redirect("approval", promotion_id)


@require_POST
@page(Permission.VIEW)
def comment(request: HttpRequest, promotion_id: UUID) -> HttpResponse:
    """Say something about a request."""
    add_comment(
        actor=principal_of(request),
        request=get_promotion(promotion_id),
        body=request.POST.get("body", ""),
    )
    return redirect("approval", promotion_id)


@require_POST
@page(Permission.VIEW)
def comment_edit(request: HttpRequest, promotion_id: UUID, comment_id: UUID) -> HttpResponse:
    """Change one's own words; what they were stays readable."""
    found = get_promotion(promotion_id)
    mine = Comment.objects.filter(request=found, pk=comment_id).first()
    if mine is not None:
        mine.request = found
        edit_comment(actor=principal_of(request), comment=mine, body=request.POST.get("body", ""))
    return redirect("approval", promotion_id)
