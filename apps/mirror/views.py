"""Pages: a team's mirrors, how each fares, and what is otherwise in MLflow."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission, Principal
from apps.accounts.keyset import keyset
from apps.accounts.models import Team
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.accounts.selectors import get_team
from apps.events.errors import DomainError
from apps.events.models import Event
from apps.mirror import selectors, services
from apps.mirror.models import Difference, DifferenceState, Mirror, MirroredModel
from apps.mirror.words import ACCEPTING, REVERTING, changes, sentence
from apps.registry.models import Tier

TIMELINE = 20
PROBLEMS = 20
DIFFERENCES = 25
MOST_BYTES = 64 * 1024


@require_GET
@page(Permission.VIEW)
def mirror_list(request: HttpRequest) -> HttpResponse:
    """Every team's mirrors."""
    return _list(request, {})


@never_cache
@require_POST
@page(Permission.ADMINISTER)
def mirror_create(request: HttpRequest) -> HttpResponse:
    """Link a registry; the answer shows the secret of its hints, this once."""
    given = request.POST
    try:
        made, secret = services.create_mirror(
            actor=principal_of(request),
            team=get_team(given.get("team", "")),
            title=given.get("title", "").strip()[:100],
            tracking_uri=given.get("tracking_uri", ""),
            credentials={name: given.get(name, "") for name in ("username", "password", "token")},
            pattern=given.get("pattern", "").strip()[:200],
            tier=given.get("tier", Tier.STANDARD.value),
            writes_back=bool(given.get("writes_back")),
        )
    except DomainError as error:
        return _list(request, {"refusal": error, "given": given}, status=error.status)
    return _detail(request, made.pk, {"secret": secret})


@require_GET
@page(Permission.VIEW)
def mirror(request: HttpRequest, pk: int) -> HttpResponse:
    """One mirror: how it fares, and what is otherwise in MLflow."""
    return _detail(request, pk, {})


@require_POST
@page(Permission.REGISTER)
def mirror_poll(request: HttpRequest, pk: int) -> HttpResponse:
    """Look at everything, soon."""
    return _act(
        request, pk, services.poll_mirror, "MLflow is looked at as soon as a worker is free."
    )


@require_POST
@page(Permission.ADMINISTER)
def mirror_pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Neither poll nor write back."""
    return _act(request, pk, services.pause_mirror, "Paused.")


@require_POST
@page(Permission.ADMINISTER)
def mirror_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Poll and write back again."""
    return _act(request, pk, services.resume_mirror, "Resumed.")


@require_POST
@page(Permission.ADMINISTER)
def mirror_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Take the link away."""
    actor = principal_of(request)
    found = selectors.get_mirror(actor, pk)
    services.delete_mirror(actor=actor, mirror=found, reason=reason_of(request))
    messages.success(request, f"{found.title} is no mirror any more; its models stay.")
    return redirect("mirror-list")


@require_POST
@page(Permission.DEPLOY)
def difference_accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Let it stand."""
    return _decide(request, pk, services.accept, "It stands.")


@require_POST
@page(Permission.DEPLOY)
def difference_revert(request: HttpRequest, pk: int) -> HttpResponse:
    """Put back in MLflow what was there."""
    return _decide(request, pk, services.revert, "MLflow has again what it had.")


@csrf_exempt
@require_POST
def hint(request: HttpRequest, pk: int) -> HttpResponse:
    """MLflow's webhook. Whoever calls learns nothing: neither what is here nor what is believed.

    No session is looked at, so there is nothing to forge a request with.
    """
    services.take_hint(
        mirror_id=pk,
        headers=request.headers,
        body=request.read(MOST_BYTES + 1),
        now=timezone.now(),
    )
    return HttpResponse(status=202)


def _act(request: HttpRequest, pk: int, service: Callable[..., object], done: str) -> HttpResponse:
    actor = principal_of(request)
    found = selectors.get_mirror(actor, pk)
    service(actor=actor, mirror=found, reason=reason_of(request))
    messages.success(request, done)
    return redirect("mirror", pk)


def _decide(
    request: HttpRequest, pk: int, service: Callable[..., object], done: str
) -> HttpResponse:
    actor = principal_of(request)
    found = selectors.get_difference(actor, pk)
    service(actor=actor, difference=found, reason=reason_of(request))
    messages.success(request, done)
    return redirect("mirror", found.mirrored.mirror_id)


def _list(request: HttpRequest, more: dict[str, object], status: int = 200) -> HttpResponse:
    actor = principal_of(request)
    now = timezone.now()
    shown = keyset(request, selectors.counted(selectors.mirrors_of(actor)))
    context = {
        "page": shown,
        "rows": [(row, _fares(row, now)) for row in shown.rows],
        "teams": Team.objects.filter(key__in=actor.teams_with(Permission.ADMINISTER)),
        "tiers": list(Tier),
        **more,
    }
    return render(request, "mirror/mirror_list.html", context, status=status)


def _detail(request: HttpRequest, pk: int, more: dict[str, object]) -> HttpResponse:
    actor = principal_of(request)
    found = selectors.get_mirror(actor, pk)
    state = request.GET.get("state", DifferenceState.OPEN.value)
    shown = keyset(request, _differences(found, state), size=DIFFERENCES)
    may_decide = actor.can(Permission.DEPLOY, found.team.key)
    context = {
        "mirror": found,
        "fares": _fares(found, timezone.now()),
        "page": shown,
        "rows": [_shown(row, may_decide=may_decide) for row in shown.rows],
        "state": state,
        "states": [*DifferenceState],
        "problems": found.mirrored.exclude(problem="")[:PROBLEMS],
        "dialogs": _dialogs(actor, found),
        "hint_url": request.build_absolute_uri(reverse("mirror-hint", args=[found.pk])),
        "events": Event.objects.for_object(found.key)[:TIMELINE],
        **more,
    }
    return render(request, "mirror/mirror.html", context)


def _differences(found: Mirror, state: str) -> QuerySet[Difference]:
    rows = Difference.objects.filter(mirrored__in=MirroredModel.objects.filter(mirror=found))
    rows = rows.select_related("mirrored__model", "mirrored_version__version__model")
    return rows.filter(state=state) if state in list(DifferenceState) else rows


def _fares(row: Mirror, now: Any) -> selectors.Fares:
    return selectors.fares(row, owed_since=getattr(row, "owes_since", None), now=now)


def _shown(row: Difference, *, may_decide: bool) -> dict[str, Any]:
    return {
        "difference": row,
        "sentence": sentence(row),
        "changes": changes(row),
        "dialogs": _decisions(row) if may_decide and row.state == DifferenceState.OPEN else [],
    }


def _decisions(row: Difference) -> list[dict[str, str]]:
    kind = row.kind
    return [
        {
            "id": f"revert-{row.pk}",
            "title": "Put back what was there",
            "label": "Revert",
            "action": reverse("difference-revert", args=[row.pk]),
            "body": {str(key): words for key, words in REVERTING.items()}[kind],
            "tone": "primary",
        },
        {
            "id": f"accept-{row.pk}",
            "title": "Let it stand",
            "label": "Accept",
            "action": reverse("difference-accept", args=[row.pk]),
            "body": {str(key): words for key, words in ACCEPTING.items()}[kind],
            "tone": "",
        },
    ]


def _dialogs(actor: Principal, found: Mirror) -> list[dict[str, str]]:
    def act(name: str, title: str, body: str, tone: str = "") -> dict[str, str]:
        action = reverse(f"mirror-{name}", args=[found.pk])
        return {
            "id": name,
            "title": title,
            "label": title,
            "action": action,
            "body": body,
            "tone": tone,
        }

    dialogs = []
    if found.paused_at is None and actor.can(Permission.REGISTER, found.team.key):
        dialogs.append(act("poll", "Look now", "Everything is looked at, not only what changed."))
    if actor.can(Permission.ADMINISTER, found.team.key):
        dialogs.append(
            act("resume", "Resume", "What happened meanwhile is found and written.")
            if found.paused_at
            else act("pause", "Pause", "MLflow is neither asked nor told anything.")
        )
        said = "Models and versions stay, here and in MLflow; differences are forgotten."
        dialogs.append(act("delete", "Delete", said, "danger"))
    return dialogs
