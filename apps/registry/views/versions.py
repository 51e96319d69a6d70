"""Pages of versions: what each is, what promotion needs, and asking for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission, Principal
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.models import Event
from apps.registry import panels, services
from apps.registry.card.reading import card_of, schema_of
from apps.registry.comparison import in_words
from apps.registry.declaration import steps_in_words
from apps.registry.evidence import incumbent as incumbent_of
from apps.registry.evidence import side
from apps.registry.lineage import graph, layout, sources
from apps.registry.models import (
    OPEN_VALIDATIONS,
    ModelVersion,
    PromotionRequest,
    StageTransition,
    Takeover,
    Validation,
    VersionStatus,
)
from apps.registry.policy import Policy
from apps.registry.promotion import Allowance, RequestState, Stage
from apps.registry.selectors import get_version
from apps.registry.side_by_side import Measured, Section, sections
from apps.registry.terms import freeze_on, ladder_of, terms_for
from apps.registry.views.words import TIMELINE, checks_words, keys_of

HISTORY = 100
TABS = {
    "summary": "Summary",
    "evidence": "Evidence",
    "metrics": "Metrics",
    "schema": "Schema",
    "lineage": "Lineage",
    "explain": "Explain",
    "deployments": "Deployments",
    "card": "Card",
    "history": "History",
}
ALLOWED_WORDS = {
    Allowance.NONE: "it gets no traffic, whoever asks",
    Allowance.SHADOW: "shadow and test traffic only",
    Allowance.ALL: "endpoints may send it any traffic",
}
OFF_LADDER_WORDS = {
    Stage.DEPRECATED.value: "Deprecated: it still serves, and is kept for an instant return.",
    Stage.ARCHIVED.value: "Archived: it serves nothing and cannot come back.",
}


@dataclass(frozen=True)
class Need:
    """One thing that promotion needs, and whether it is there."""

    words: str
    done: bool


@require_GET
@page(Permission.VIEW)
def version(request: HttpRequest, name: str, ref: str, tab: str = "summary") -> HttpResponse:
    """One version, a tab of it at a time."""
    if tab not in TABS:
        raise Http404(f"a version has no page {tab!r}")
    found = get_version(name, ref)
    head = _head(found, principal_of(request))
    context = {**head, "tab": tab, "tabs": TABS, **_BODIES[tab](found, head)}
    return render(request, f"registry/version/{tab}.html", context)


def _head(found: ModelVersion, principal: Principal) -> dict[str, Any]:
    """What every tab shows: stage, checks, what promotion needs, who may do what."""
    validation = found.validations.order_by("-id").first()
    opened = found.requests.filter(state=RequestState.REQUESTED.value).order_by("-id").first()
    ladder = ladder_of(found.model.team_id)
    target = ladder.next_promotion(found.stage)
    passed = validation is not None and validation.state == "passed"
    team_key = found.model.team.key
    ready = found.status == VersionStatus.READY
    incumbent = incumbent_of(found)
    return {
        "model": found.model,
        "version": found,
        "ready": ready,
        "takeover": None if ready else Takeover.objects.filter(version=found).first(),
        "validation": validation,
        "validation_open": validation is not None and validation.state in OPEN_VALIDATIONS,
        "checks_words": checks_words(validation.checks if validation else []),
        "open_request": opened,
        "rungs": ladder.rungs,
        "reached": _reached(found.stage, [rung.key for rung in ladder.rungs]),
        "next_stage": target,
        "stage_words": _stage_words(found),
        "state_words": _state_words(found, opened),
        "needs": _needs(found, target, passed=passed) if target and ready else [],
        "freeze": freeze_on(found, target, now=timezone.now()) if target else None,
        "can_validate": ready and principal.can(Permission.VALIDATE, team_key),
        "can_request": passed
        and target is not None
        and principal.can(Permission.REQUEST_PROMOTION, team_key),
        "request_title": f"Request {target} for {found.model.name} v{found.number}",
        "request_hidden": {"stage": target},
        "incumbent": incumbent,
        "left_title": f"v{incumbent.number}" if incumbent else "",
        "right_title": f"v{found.number}",
        "aliases": found.aliases.all(),
    }


def _reached(stage: str, ladder: list[str]) -> list[str]:
    """Stages of the ladder up to the version's own."""
    return ladder[: ladder.index(stage) + 1] if stage in ladder else []


def _stage_words(found: ModelVersion) -> str:
    if found.stage in OFF_LADDER_WORDS:
        return OFF_LADDER_WORDS[found.stage]
    place = "development" if found.stage == Stage.DEV else found.stage
    return f"In {place}: {ALLOWED_WORDS[Allowance(found.allowance)]}."


def _state_words(found: ModelVersion, opened: PromotionRequest | None) -> str:
    if found.status == VersionStatus.PENDING:
        return "Its artifact is being taken over; nothing can be asked of it yet."
    if found.status == VersionStatus.FAILED:
        return "Its artifact could not be taken over."
    if opened is not None:
        return f"Waits for an approver to let it into {opened.target_stage}."
    return _stage_words(found)


def _needs(found: ModelVersion, target: str, *, passed: bool) -> list[Need]:
    policy = terms_for(found, target).policy
    checks = sorted(name for name, rule in policy.checks.items() if rule.required)
    needs = [Need("checks of exactly this content pass", passed)]
    others = [name.replace("_", " ") for name in checks if name != "examination"]
    if others:
        needs.append(Need(f"required beside them: {', '.join(others)}", False))
    return [*needs, *(Need(words, False) for words in _signatures(policy))]


def _signatures(policy: Policy) -> list[str]:
    people = "one other person" if policy.approvals == 1 else f"{policy.approvals} other people"
    groups = [f"{one.needed} of {one.name}" for one in policy.groups if one.needed]
    return [f"{people} sign{'s' if policy.approvals == 1 else ''}", *groups]


def _summary(found: ModelVersion, head: dict[str, Any]) -> dict[str, Any]:
    compared = _compared(found, head["incumbent"])
    metrics = next((one for one in compared if one.slug == "metrics"), None)
    return {
        "sections": [metrics] if metrics else [],
        "differences": [one for one in compared if one.changed and one.slug != "metrics"],
        "panels": panels.render(found, tab="summary"),
        "events": Event.objects.timeline(keys_of(found))[:TIMELINE],
    }


def _compared(found: ModelVersion, incumbent: ModelVersion | None) -> list[Section]:
    """The version beside the incumbent; empty where one of the two has no schema yet."""
    if incumbent is None or schema_of(found) is None or schema_of(incumbent) is None:
        return []
    return sections(side(incumbent), side(found), before=Measured(), after=Measured())


def _evidence(found: ModelVersion, head: dict[str, Any]) -> dict[str, Any]:
    requests = found.requests.order_by("-id")[:TIMELINE]
    return {
        "panels": panels.render(found, tab="evidence"),
        "requests": requests,
        "validations": found.validations.order_by("-id")[1:11],
    }


def _metrics(found: ModelVersion, head: dict[str, Any]) -> dict[str, Any]:
    wanted = ("metrics", "parameters")
    return {
        "sections": [one for one in _compared(found, head["incumbent"]) if one.slug in wanted],
        "panels": panels.render(found, tab="metrics"),
    }


def _schema(found: ModelVersion, head: dict[str, Any]) -> dict[str, Any]:
    schema = schema_of(found)
    return {
        "schema": schema,
        "steps": steps_in_words(schema.preprocessing) if schema else [],
        "panels": panels.render(found, tab="schema"),
    }


def _lineage(found: ModelVersion, head: dict[str, Any]) -> dict[str, Any]:
    whole = sources.of_version(found)
    return {
        "drawing": layout.draw(whole),
        "tree": graph.tree(whole),
        "lineage": _known(found),
        "panels": panels.render(found, tab="lineage"),
    }


def _known(found: ModelVersion) -> list[tuple[str, str]]:
    """What is known of the data and the code, in words."""
    parts = (("Data", found.data_lineage), ("Code", found.code_lineage))
    return [
        (f"{part}: {name.replace('_', ' ')}", in_words(value))
        for part, known in parts
        for name, value in known.items()
    ]


def _card(found: ModelVersion, head: dict[str, Any]) -> dict[str, Any]:
    return {"card": card_of(found)}


def _history(found: ModelVersion, head: dict[str, Any]) -> dict[str, Any]:
    moves = StageTransition.objects.filter(version=found).select_related("request")
    return {
        "transitions": moves.order_by("-id")[:HISTORY],
        "validations": Validation.objects.filter(version=found).order_by("-id")[:HISTORY],
        "events": Event.objects.timeline(keys_of(found))[:HISTORY],
    }


def _panels(tab: str) -> Callable[[ModelVersion, dict[str, Any]], dict[str, Any]]:
    return lambda found, head: {"panels": panels.render(found, tab=tab)}


_BODIES: dict[str, Callable[[ModelVersion, dict[str, Any]], dict[str, Any]]] = {
    "summary": _summary,
    "evidence": _evidence,
    "metrics": _metrics,
    "schema": _schema,
    "lineage": _lineage,
    "explain": _panels("explain"),
    "deployments": _panels("deployments"),
    "card": _card,
    "history": _history,
}


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
