"""Pages of experiments."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission
from apps.accounts.keyset import keyset
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.models import Event
from apps.experiments import services
from apps.experiments.lifecycle import State
from apps.experiments.models import Experiment
from apps.experiments.selectors import ArmCounts, arm_counts, get_experiment

TIMELINE = 20
SENTENCES = {
    State.DRAFT: "A draft: nobody is in it yet, and everything can still change.",
    State.STOPPED: "Stopped: the endpoint is back to what it was before; no decision yet.",
    State.DECIDED: "Decided.",
    State.ARCHIVED: "Archived.",
}


@require_GET
@page(Permission.VIEW)
def experiment_list(request: HttpRequest) -> HttpResponse:
    """Every experiment, newest first."""
    context = {"page": keyset(request, Experiment.objects.select_related("endpoint"))}
    return render(request, "experiments/experiment_list.html", context)


@require_GET
@page(Permission.VIEW)
def experiment(request: HttpRequest, experiment_id: UUID) -> HttpResponse:
    """One experiment: its arms, who is in them, and its plan."""
    found = get_experiment(experiment_id)
    may = principal_of(request).can(Permission.EXPERIMENT, found.endpoint.team.key)
    context = {
        **live_context(found),
        "may_start": may and found.state == State.DRAFT,
        "may_stop": may and found.state == State.RUNNING,
        "dialogs": [_dialog(found, action) for action in ("start", "stop")] if may else [],
        "events": Event.objects.for_object(found.key)[:TIMELINE],
    }
    return render(request, "experiments/experiment.html", context)


@require_POST
@page(Permission.EXPERIMENT)
def act(request: HttpRequest, experiment_id: UUID, action: str) -> HttpResponse:
    """Start or stop, with a reason."""
    found = get_experiment(experiment_id)
    service = {"start": services.start_experiment, "stop": services.stop_experiment}[action]
    service(
        actor=principal_of(request),
        experiment=found,
        reason=reason_of(request),
        now=timezone.now(),
    )
    messages.success(request, f"{found.name}: {'started' if action == 'start' else 'stopped'}.")
    return redirect("experiment", experiment_id)


def live_context(found: Experiment) -> dict[str, Any]:
    """What moves of an experiment's page."""
    counts = arm_counts(found)
    return {
        "experiment": found,
        "sentence": _sentence(found, counts),
        "arms": [_arm(row, counts) for row in counts],
        "running": found.state == State.RUNNING,
    }


def _sentence(found: Experiment, counts: list[ArmCounts]) -> str:
    if found.state != State.RUNNING:
        return SENTENCES[State(found.state)]
    units = sum(row.units for row in counts)
    if not units:
        return "Running; nobody has been seen in it yet."
    end = found.planned_end_at
    days = max((end - timezone.now()).days, 0) if end else 0
    return f"Running: {units:,} users so far, {days} days of the plan left.".replace(
        ",", "\u202f", 1
    )


def _arm(row: ArmCounts, counts: list[ArmCounts]) -> dict[str, Any]:
    total = sum(other.units for other in counts)
    return {
        "key": row.arm,
        "version": row.version,
        "role": "control" if row.is_control else "treatment",
        "weight": row.weight,
        "units": row.units,
        "share": row.units / total if total else None,
        "mixed": row.mixed,
        "first_at": row.first_at,
        "last_at": row.last_at,
    }


def _dialog(found: Experiment, action: str) -> dict[str, str]:
    starting = action == "start"
    return {
        "id": f"dialog-{action}",
        "title": f"{action.capitalize()} {found.name}",
        "body": "The endpoint is leased to this experiment, and users are split over the arms."
        if starting
        else "The endpoint goes back to exactly what it was before the start.",
        "action": reverse("experiment-act", args=[found.pk, action]),
        "label": action.capitalize(),
        "tone": "" if starting else "danger",
    }
