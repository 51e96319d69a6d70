"""Pages of versions: what each is, and asking for its promotion."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.models import Event
from apps.registry import panels, services
from apps.registry.comparison import in_words
from apps.registry.declaration import steps_in_words
from apps.registry.models import OPEN_VALIDATIONS, ModelVersion, PromotionRequest
from apps.registry.promotion import Allowance, RequestState, Stage
from apps.registry.selectors import get_version, version_page
from apps.registry.terms import ladder_of
from apps.registry.views.words import TIMELINE, checks_words, keys_of

OFF_LADDER_WORDS = {
    Stage.DEV: "In development: it gets no traffic, whoever asks.",
    Stage.DEPRECATED: "Deprecated: it still serves, and is kept for an instant return.",
    Stage.ARCHIVED: "Archived: it serves nothing and cannot come back.",
}
ALLOWANCE_WORDS = {
    Allowance.NONE: "it gets no traffic, whoever asks",
    Allowance.SHADOW: "shadow and test traffic only",
    Allowance.ALL: "endpoints may send it any traffic",
}


def stage_words(version: ModelVersion) -> str:
    """What the version's stage means for its traffic."""
    special = {stage.value: words for stage, words in OFF_LADDER_WORDS.items()}
    allowed = ALLOWANCE_WORDS[Allowance(version.allowance)]
    return special.get(version.stage) or f"In {version.stage}: {allowed}."


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
    target = ladder_of(found.model.team_id).next_promotion(found.stage)
    passed = validation is not None and validation.state == "passed"
    context = {
        "model": found.model,
        "version": found,
        "validation": validation,
        "validation_open": validation is not None and validation.state in OPEN_VALIDATIONS,
        "checks_words": checks_words(validation.checks if validation else []),
        "open_request": open_request,
        "next_stage": target,
        "state_words": _state_words(found, open_request),
        "stage_words": stage_words(found),
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
        "events": Event.objects.timeline(keys_of(found))[:TIMELINE],
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


def _state_words(version: ModelVersion, open_request: PromotionRequest | None) -> str:
    if open_request is not None:
        return f"Waits for an approver to let it into {open_request.target_stage}."
    return stage_words(version)


def _needs(target: str | None, *, passed: bool, asked: bool) -> list[str]:
    if target is None:
        return []
    done = [(passed, "checks of exactly this content pass"), (asked, "somebody asks for it")]
    needs = [text for is_done, text in done if not is_done]
    return [f"{target.capitalize()} needs that {text}." for text in needs] + [
        f"{target.capitalize()} needs the signature of a second person."
    ]
