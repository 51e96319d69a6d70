"""What a promotion would touch, and the way back: read from routing, traffic and deployments."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from apps.deployments.models import Deployment
from apps.monitoring.selectors import requests_by_endpoint
from apps.registry.impact import BlastRadius, Touched, WayBack
from apps.registry.models import ModelVersion
from apps.routing.models import Backend, BackendState, Endpoint, Phase
from apps.routing.selectors import fleet
from contracts.routing import BUCKETS

SPAN = timedelta(hours=1)
LATE_PHASES = 20
MOST_WAYS = 10


def blast_radius(version: ModelVersion) -> BlastRadius:
    """Every endpoint of the version's model, with what it served in the last hour."""
    endpoints = list(Endpoint.objects.described().filter(model=version.model_id).order_by("name"))
    requests = requests_by_endpoint([one.name for one in endpoints], timezone.now() - SPAN)
    return BlastRadius(tuple(_touched(one, requests.get(one.name, 0)) for one in endpoints))


def _touched(endpoint: Endpoint, requests: int) -> Touched:
    """`requests` of the last hour; the endpoint comes with the phase that runs."""
    variants = [one for phase in endpoint.phases.all() for one in phase.variants]
    most = max((one["weight"] for one in variants), default=0)
    return Touched(
        endpoint=endpoint.name,
        team=endpoint.team.key,
        versions=tuple(one["version"] for one in variants if one["weight"]),
        share=most / BUCKETS,
        requests_per_s=requests / SPAN.total_seconds() if requests else None,
    )


def ways_back(version: ModelVersion) -> tuple[WayBack, ...]:
    """For each endpoint of the model: what serves it now, or did before this version."""
    phases = list(
        Phase.objects.current()
        .filter(endpoint__model=version.model_id)
        .select_related("endpoint")
        .order_by("endpoint__name")
    )
    before = _before(phases, version)
    ways = ((one, _main(one, version) or before.get(one.endpoint_id, "")) for one in phases)
    found = [(phase, key) for phase, key in ways if key][:MOST_WAYS]
    shown = (_way(phase, key, version) for phase, key in found)
    return tuple(way for way in shown if way is not None)


def _way(phase: Phase, key: str, version: ModelVersion) -> WayBack | None:
    number = int(key.rpartition("/")[2])
    target = ModelVersion.objects.filter(model=version.model_id, number=number).first()
    if target is None:
        return None
    loaded = Backend.objects.filter(version=target, state=BackendState.READY.value).exists()
    seconds = _switch_s(phase) if loaded else _load_s(target)
    return WayBack(phase.endpoint.name, key, loaded, seconds, _sentence(key, loaded, seconds))


def _main(phase: Phase, version: ModelVersion) -> str:
    """The version that most users have, other than the one in question."""
    others = [one for one in phase.variants if one["version_id"] != version.pk and one["weight"]]
    return str(max(others, key=lambda one: one["weight"])["version"]) if others else ""


def _before(phases: Sequence[Phase], version: ModelVersion) -> dict[int, str]:
    """By endpoint, the version that most users had in the last phase without the one in question
    alone, of those of late."""
    place = Window(RowNumber(), partition_by="endpoint", order_by="-number")
    ended = Phase.objects.filter(
        endpoint__in=[one.endpoint_id for one in phases], ended_at__isnull=False
    )
    late = ended.annotate(place=place).filter(place__lte=LATE_PHASES)
    found: dict[int, str] = {}
    for one in late.order_by("endpoint", "-number"):
        key = _main(one, version)
        if key:
            found.setdefault(one.endpoint_id, key)
    return found


def _switch_s(phase: Phase) -> float | None:
    """How long the gateways took to switch to the newest generation of this endpoint."""
    newest = phase.generations.order_by("-epoch", "-number").first()
    if newest is None:
        return None
    swaps = [
        (one.swapped_at - newest.issued_at).total_seconds()
        for one in fleet()
        if one.generation == newest.number and one.swapped_at is not None
    ]
    late = [seconds for seconds in swaps if seconds >= 0]
    return round(max(late), 3) if late else None


def _load_s(version: ModelVersion) -> float | None:
    """How long the version's last deployment took to become healthy."""
    last = Deployment.objects.of_version(version).filter(healthy_at__isnull=False).first()
    if last is None or last.healthy_at is None:
        return None
    return round((last.healthy_at - last.created_at).total_seconds(), 1)


def _sentence(key: str, loaded: bool, seconds: float | None) -> str:
    name = f"v{key.rpartition('/')[2]}"
    if loaded:
        took = f"; the last switch took {seconds:.2g} s" if seconds is not None else ""
        return f"Back to {name} in one step, for everyone: it is loaded{took}."
    took = f", which took {seconds:.0f} s last time" if seconds is not None else ""
    return f"Back to {name} after deploying it again{took}: it is not loaded."
