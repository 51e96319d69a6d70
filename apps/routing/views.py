"""Pages of endpoints and of the gateways that serve them."""

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.access import Permission
from apps.accounts.keyset import keyset
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.errors import Invalid
from apps.events.models import Event
from apps.registry.models import ModelVersion
from apps.routing import panels, picture, services
from apps.routing.models import Endpoint, Phase, Position
from apps.routing.selectors import fleet, get_endpoint

PHASES = 12
DIGITS = 18
TIMELINE = 20


@require_GET
@page(Permission.VIEW)
def endpoint_list(request: HttpRequest) -> HttpResponse:
    """Every endpoint with who gets what, and the gateways."""
    rows = Endpoint.objects.select_related("team", "model")
    if name := request.GET.get("name"):
        rows = rows.filter(name__icontains=name)
    listed = keyset(request, rows)
    current = Phase.objects.current().filter(endpoint__in=listed.rows)
    phases = {phase.endpoint_id: phase for phase in current}
    for row in listed.rows:
        phase = phases.get(row.pk)
        row.split = picture.shares(phase.variants) if phase else []
        row.changed_at = phase.started_at if phase else None
        row.holder_kind = row.lease_holder.partition(":")[0]
    gateways = fleet(now=timezone.now())
    live = sum(gateway.state == "live" for gateway in gateways)
    context = {
        "page": listed,
        "gateways": gateways,
        "position": Position.objects.first(),
        "state_words": f"{live} of {len(gateways)} gateways up to date.",
    }
    return render(request, "routing/endpoint_list.html", context)


@require_GET
@page(Permission.VIEW)
def endpoint(request: HttpRequest, name: str) -> HttpResponse:
    """One endpoint: who gets what, how it does, how it came about."""
    found = get_endpoint(name)
    principal = principal_of(request)
    phases = list(found.phases.order_by("-number")[:PHASES])
    for phase in phases:
        phase.split = picture.shares(phase.variants)  # type: ignore[attr-defined]  # for the page
    can_route = principal.can(Permission.ROUTE, found.team.key) and not found.lease_holder
    context = {
        **live_context(found),
        "phases": phases,
        "can_route": can_route,
        "actions": [],
        "dialogs": _restore_dialogs(found, phases) if can_route else [],
        "panels": panels.render(found),
        "curl": _curl(found, phases[0] if phases else None),
        "events": _events(found, phases),
    }
    return render(request, "routing/endpoint.html", context)


@require_POST
@page(Permission.ROUTE)
def restore(request: HttpRequest, name: str) -> HttpResponse:
    """Bring back the allocation of an earlier phase, exactly."""
    found = get_endpoint(name)
    services.restore_phase(
        actor=principal_of(request),
        endpoint=found,
        holder="",
        expected_revision=_integer(request, "expected_revision"),
        phase_number=_integer(request, "phase"),
        reason=reason_of(request),
    )
    messages.success(request, f"{name} is back at phase {request.POST.get('phase')}.")
    return redirect("endpoint", name)


def _integer(request: HttpRequest, field: str) -> int:
    text = request.POST.get(field, "")
    if not text.isascii() or not text.isdecimal() or len(text) > DIGITS:
        raise Invalid(f"{text!r} is not a number", field=field)
    return int(text)


def live_context(found: Endpoint) -> dict[str, Any]:
    """What moves of an endpoint's page."""
    phase = found.phase
    split = picture.shares(phase.variants) if phase else []
    newest = found.generations.order_by("-id").first()
    holder = found.lease_holder.partition(":")[0]
    return {
        "endpoint": found,
        "sentence": picture.in_words(split),
        "split": split,
        "split_words": picture.in_words(split),
        "bars": picture.bars(split, phase.ranges if phase else []),
        "generation": newest.number if newest else 0,
        "badge_words": f"{holder} running" if holder else ("serving" if split else "no traffic"),
        "badge_tone": "running" if holder else ("ok" if split else ""),
    }


def _keys(found: Endpoint, phases: list[Phase]) -> list[str]:
    """The endpoint's own key and those of the rollouts that its recent phases belong to."""
    return [found.key, *dict.fromkeys(phase.rollout_key for phase in phases if phase.rollout_key)]


def _events(found: Endpoint, phases: list[Phase]) -> QuerySet[Event]:
    """What people and rollouts did; what a rollout does to the table is told by its own events."""
    rows = Event.objects.timeline(_keys(found, phases))
    by_rollout = Q(object_key=found.key, actor_key__startswith="system:")
    return rows.exclude(by_rollout)[:TIMELINE]


def _restore_dialogs(found: Endpoint, phases: list[Phase]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"restore-{phase.number}",
            "title": f"Restore phase {phase.number}",
            "body": f"{picture.in_words(picture.shares(phase.variants))} Everyone gets exactly "
            "what they got then, in one step.",
            "action": reverse("endpoint-restore", args=[found.name]),
            "label": "Restore",
            "tone": "danger",
            "hidden": {"phase": phase.number, "expected_revision": found.revision},
        }
        for phase in phases
        if phase.ended_at
    ]


def _curl(found: Endpoint, phase: Phase | None) -> str:
    example: dict[str, Any] = {}
    if phase:
        versions = [variant["version_id"] for variant in phase.variants]
        row = ModelVersion.objects.filter(pk__in=versions).values_list("example", flat=True).first()
        example = row[0] if row else {}
    body = json.dumps({"model": found.name, "user_id": "u1", "features": example}, indent=2)
    return (
        f"curl {settings.CONFIG.gateway_url}/v1/predict \\\n"
        f"  -H 'Authorization: Bearer $CLIENT_KEY' \\\n  -d '{body}'"
    )
