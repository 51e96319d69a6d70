"""Pages of rollouts."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission, Principal
from apps.accounts.keyset import keyset
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.deployments import charts, picture, services
from apps.deployments.models import Rollout
from apps.deployments.rollout import FINISHED, LIVE, State, Trigger
from apps.deployments.selectors import get_rollout, step_requests
from apps.events.errors import NotFound
from apps.events.models import Event

TIMELINE = 30
VERDICTS = 20
SHOWS = {
    "running": [State.PENDING, *LIVE],
    "ended": list(FINISHED),
    "all": list(State),
}
PERMISSIONS = {Trigger.ROLL_BACK: Permission.ROLL_BACK}


@require_GET
@page(Permission.VIEW)
def rollout_list(request: HttpRequest) -> HttpResponse:
    """Rollouts that run, have ended, or all."""
    show = request.GET.get("show", "running")
    if show not in SHOWS:
        raise NotFound(f"there is no list of rollouts called {show!r}", field="show")
    rows = Rollout.objects.filter(state__in=SHOWS[show])
    listed = keyset(request, rows.select_related("endpoint", "candidate", "baseline"))
    for row in listed.rows:
        row.title = title(row)
        row.step_words = picture.share(row.snapshot())
        row.sentence = summary(row)
    running = Rollout.objects.unfinished().count()
    context = {
        "page": listed,
        "tabs": list(SHOWS),
        "show": show,
        "state_words": f"{running} running." if running else "None is running.",
    }
    return render(request, "deployments/rollout_list.html", context)


@require_GET
@page(Permission.VIEW)
def rollout(request: HttpRequest, rollout_id: UUID) -> HttpResponse:
    """One rollout, live while it runs."""
    found = get_rollout(rollout_id)
    view = view_of(found)
    principal = principal_of(request)
    view["actions"] = actions_for(found, principal)
    context = {
        "rollout": found,
        "view": view,
        "share": charts.share(found),
        "dialogs": [_dialog(found, one) for one in picture.ACTIONS if _may(principal, found, one)],
        "events": timeline(found),
    }
    return render(request, "deployments/rollout.html", context)


@require_POST
@page(Permission.ROLL_BACK)
def act(request: HttpRequest, rollout_id: UUID, action: str) -> HttpResponse:
    """Pause, resume, promote or roll back, with a reason."""
    found = get_rollout(rollout_id)
    service = {
        "pause": services.pause,
        "resume": services.resume,
        "promote": services.promote,
        "rollback": services.roll_back,
    }[action]
    service(actor=principal_of(request), rollout=found, reason=reason_of(request))
    done = {
        "pause": "paused",
        "resume": "resumed",
        "promote": "moved on",
        "rollback": "rolled back",
    }
    messages.success(request, f"{found.endpoint.name}: {done[action]}.")
    return redirect("rollout", rollout_id)


def actions_for(found: Rollout, principal: Principal) -> list[picture.Action]:
    """The buttons that the state allows and the principal's roles permit."""
    possible = picture.actions(State(found.state))
    return [action for action in possible if _may(principal, found, action)]


def _may(principal: Principal, found: Rollout, action: picture.Action) -> bool:
    permission = PERMISSIONS.get(action.trigger, Permission.ROUTE)
    return principal.can(permission, found.endpoint.team.key)


def title(found: Rollout) -> str:
    """ "v1 → v2"."""
    return f"v{found.baseline.number} → v{found.candidate.number}"


def summary(found: Rollout) -> str:
    """Where the rollout is, in one sentence."""
    outcomes = [str(verdict.get("verdict")) for verdict in found.latest]
    return picture.sentence(found.snapshot(), timezone.now(), outcomes, found.state_reason)


def timeline(found: Rollout) -> Any:
    """What happened to the rollout, newest first."""
    return Event.objects.for_object(found.key)[:TIMELINE]


def view_of(found: Rollout) -> dict[str, Any]:
    """What the page shows and what moves of it."""
    now = timezone.now()
    snapshot = found.snapshot()
    left = picture.remaining(snapshot, now)
    badge, tone = picture.badge(snapshot.state, left)
    return {
        "title": title(found),
        "sentence": summary(found),
        "badge": badge,
        "tone": tone,
        "byline": _byline(found),
        "steps": picture.steps(snapshot, now, step_requests(found)),
        "verdicts": list(found.verdicts.all()[:VERDICTS]),
        "charts": charts.of_rollout(found, until=found.ended_at or now),
        "ribbon_words": _ribbon_words(found),
        "ended": snapshot.state in FINISHED and _long_over(found),
    }


def _long_over(found: Rollout) -> bool:
    """A page stays live a little after the end, so that the last figures still arrive."""
    return found.ended_at is not None and timezone.now() - found.ended_at > timedelta(seconds=30)


def _byline(found: Rollout) -> str:
    by = found.created_by.partition(":")[2]
    approved = found.candidate.approved_by.partition(":")[2]
    parts = [f"asked by {by}"]
    parts += [f"approved by {approved}"] if approved else []
    parts += [f"generation {found.generation}"] if found.generation else []
    return " · ".join(parts)


def _ribbon_words(found: Rollout) -> str:
    snapshot = found.snapshot()
    if snapshot.state in (State.ROLLED_BACK, State.ABORTED):
        return f"Nobody is on v{found.candidate.number} any more."
    weight = snapshot.step.weight if snapshot.step_index >= 0 else 0
    return f"{weight:,} of 10,000 buckets are on v{found.candidate.number}.".replace(",", "\u202f")


def _dialog(found: Rollout, action: picture.Action) -> dict[str, str]:
    return {
        "id": action.id,
        "title": action.title,
        "body": action.body,
        "action": reverse("rollout-act", args=[found.pk, action.slug]),
        "label": action.label.rstrip("…"),
        "tone": action.tone,
    }
