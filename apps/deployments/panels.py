"""What deployments and rollouts show on the pages of the floors beneath."""

from datetime import timedelta
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone

from apps.deployments import charts, picture
from apps.deployments.models import Deployment, Rollout
from apps.deployments.rollout import State, Trigger
from apps.deployments.selectors import active_rollout
from apps.deployments.views import summary, title
from apps.registry import panels as registry_panels
from apps.registry.models import ModelVersion
from apps.routing import panels as routing_panels
from apps.routing.models import Endpoint

SPAN = timedelta(minutes=15)


def register() -> None:
    """Called once, when the app is ready."""
    routing_panels.register(
        routing_panels.Panel("health", "deployments/endpoint_panel.html", endpoint, endpoint_pieces)
    )
    registry_panels.register(
        registry_panels.Panel(
            "deployments",
            "Deployments",
            "deployments/version_panel.html",
            version,
            tab="deployments",
            signed=False,
        )
    )
    registry_panels.register(
        registry_panels.Panel(
            "explain",
            "Explanations",
            "deployments/explain_panel.html",
            explanations,
            tab="explain",
            signed=False,
        )
    )
    registry_panels.register(
        registry_panels.Panel(
            "blast",
            "Blast radius",
            "deployments/blast_panel.html",
            blast_radius,
            tab="deployments",
        )
    )


def endpoint(found: Endpoint) -> dict[str, Any]:
    """Golden signals of the last minutes, and the rollout that runs."""
    signals = charts.of_endpoint(found, until=timezone.now(), span=SPAN)
    return {"endpoint": found, "signals": signals, **_rollout(found)}


def endpoint_pieces(found: Endpoint) -> dict[str, dict[str, Any]]:
    """What moves of it."""
    signals = charts.of_endpoint(found, until=timezone.now(), span=SPAN)
    html = render_to_string("deployments/_endpoint_rollout.html", _rollout(found))
    return {
        "fragments": {
            "endpoint-rollout": html,
            **{f"words-{chart.slug}": chart.words for chart in signals},
        },
        "charts": {chart.element_id: chart.data for chart in signals},
    }


def _rollout(found: Endpoint) -> dict[str, Any]:
    running = active_rollout(found)
    if running is None:
        last = (
            Rollout.objects.filter(endpoint=found).select_related("candidate", "baseline").first()
        )
        return {"rollout": None, "last": last, "last_title": title(last) if last else ""}
    now = timezone.now()
    snapshot = running.snapshot()
    badge, tone = picture.badge(State(running.state), picture.remaining(snapshot, now))
    action = next(
        (one for one in picture.actions(snapshot.state) if one.trigger is Trigger.ROLL_BACK), None
    )
    return {
        "rollout": running,
        "title": title(running),
        "sentence": summary(running),
        "badge": badge,
        "tone": tone,
        "action": action,
        "view": {"steps": picture.steps(snapshot, now, 0)},
    }


def version(found: ModelVersion) -> dict[str, Any] | None:
    """Where the version was deployed, if anywhere."""
    rows = list(Deployment.objects.of_version(found).select_related("target")[:5])
    return {"deployments": rows} if rows else None


def explanations(found: ModelVersion) -> dict[str, Any] | None:
    """Whether the version's answers can be explained where it is deployed, and how to ask."""
    healthy = Deployment.objects.of_version(found).filter(state="healthy")
    rows = list(healthy.select_related("target")[:5])
    endpoints = Endpoint.objects.serving(found).order_by("name")[:5] if rows else []
    return {"deployments": rows, "version": found, "endpoints": list(endpoints)}


def blast_radius(found: ModelVersion) -> dict[str, Any] | None:
    """Endpoints of the version's model, and what they served in the last hour."""
    endpoints = list(Endpoint.objects.filter(model=found.model).select_related("team"))
    return {"endpoints": endpoints} if endpoints else None
