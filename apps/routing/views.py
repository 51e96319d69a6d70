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
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.access import Permission
from apps.accounts.keyset import keyset
from apps.accounts.pages import page, reason_of
from apps.accounts.principals import principal_of
from apps.events.errors import Conflict, Invalid
from apps.events.models import Event
from apps.registry.models import ModelVersion
from apps.routing import panels, picture, policy_form, policy_picture, services
from apps.routing.errors import Fault, InvalidSettings
from apps.routing.facts import settings_digest, settings_of, stored_settings, version_facts
from apps.routing.models import Endpoint, Phase, Position
from apps.routing.plain import SHADOW
from apps.routing.policy import compact
from apps.routing.selectors import fleet, get_endpoint, troubles_of

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
        "can_edit": principal.can(Permission.ROUTE, found.team.key),
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


@require_http_methods(["GET", "POST"])
@page(Permission.ROUTE)
def policy(request: HttpRequest, name: str) -> HttpResponse:
    """Edit limits and policy: what is refused stands beside its field, with all that was typed."""
    found = get_endpoint(name)
    given = request.POST if request.method == "POST" else None
    faults: tuple[Fault, ...] = ()
    if given is not None:
        faults = _save_policy(request, found)
        if not faults:
            messages.success(request, f"{name} serves by its new policy.")
            return redirect("endpoint", name)
    choices = _policy_choices(found)
    context = {
        "endpoint": found,
        "parts": policy_form.shown(stored_settings(found), choices, given=given, faults=faults),
        "reason": given.get("reason", "") if given else "",
        "reason_errors": [fault.detail for fault in faults if fault.path == "reason"],
        "faults": faults,
        "seen": given.get("seen", "") if given else settings_digest(found),
    }
    return render(request, "routing/policy.html", context, status=422 if faults else 200)


def _save_policy(request: HttpRequest, found: Endpoint) -> tuple[Fault, ...]:
    """Store the form, or say what is wrong with it."""
    tree, faults = policy_form.read_form(request.POST)
    try:
        if faults:
            raise InvalidSettings(faults)
        wanted = settings_of(tree)
        services.update_endpoint(
            actor=principal_of(request),
            endpoint=found,
            settings={"limits": compact(wanted.limits), "policy": compact(wanted.policy)},
            seen=request.POST.get("seen", ""),
            reason=request.POST.get("reason", ""),
        )
    except (Invalid, Conflict) as error:
        told = [Fault(path, detail) for path, detail in error.faults]
        return tuple(told or [Fault("", error.detail)])
    return ()


def _policy_choices(found: Endpoint) -> dict[str, list[tuple[str, str]]]:
    """What may be chosen: variants that may answer, and labels of the versions that serve."""
    phase = found.phase
    variants = phase.variants if phase else []
    shares = picture.shares([item for item in variants if item["role"] != SHADOW], idle=True)
    serving = [item["version_id"] for item in variants if item["weight"]]
    rows = ModelVersion.objects.select_related("model").filter(pk__in=serving)
    labels = dict.fromkeys(label for row in rows for label in version_facts(row).labels)
    return {
        "policy.fallback.variant": [
            ("", "none"),
            *((share.key, f"v{share.number} as {share.key}") for share in shares),
        ],
        "policy.fallback.default.label": [(label, label or "none") for label in labels],
    }


def _integer(request: HttpRequest, field: str) -> int:
    text = request.POST.get(field, "")
    if not text.isascii() or not text.isdecimal() or len(text) > DIGITS:
        raise Invalid(f"{text!r} is not a number", field=field)
    return int(text)


def live_context(found: Endpoint) -> dict[str, Any]:
    """What moves of an endpoint's page."""
    phase = found.phase
    variants = phase.variants if phase else []
    split = picture.shares(variants)
    newest = found.generations.order_by("-id").first()
    holder = found.lease_holder.partition(":")[0]
    settings = stored_settings(found)
    numbers = {share.key: share.number for share in picture.shares(variants, idle=True)}
    return {
        "policy": policy_picture.picture(settings.policy, settings.limits, numbers),
        "left_out": newest.left_out if newest else [],
        "troubles": troubles_of(found),
        "endpoint": found,
        "sentence": picture.in_words(split),
        "split": split,
        "company": picture.company(variants),
        "ensembles": picture.ensembles(variants),
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
