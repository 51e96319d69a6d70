"""Pages that join every floor: home and search."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.access import Permission, Principal
from apps.accounts.models import User
from apps.accounts.pages import page
from apps.accounts.principals import principal_of
from apps.deployments.models import Deployment, Rollout
from apps.deployments.rollout import LIVE, State
from apps.deployments.views import summary
from apps.events.models import Event, EventQuerySet
from apps.experiments.models import Experiment
from apps.registry.inbox import Box, InboxFilter, inbox
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    VersionStatus,
)
from apps.registry.promotion import RequestState
from apps.routing.models import Endpoint
from controlplane import visits

LIMIT = 12
DECIDE = 6
LATELY = timedelta(days=7)
HITS = 6
# Of interest to an auditor, not to somebody who comes to work.
QUIET = ("user.signed_in",)


@dataclass(frozen=True)
class Item:
    """One line of "Needs you" or "In flight"."""

    kind: str
    title: str
    href: str
    badge: str
    words: str
    tone: str = ""


@dataclass(frozen=True)
class Hit:
    """One thing that a search found."""

    title: str
    href: str
    kind: str


@require_GET
@page(Permission.VIEW)
def home(request: HttpRequest) -> HttpResponse:
    """What needs whoever is signed in, what is in flight, what changed since they were here."""
    principal = principal_of(request)
    now = timezone.now()
    mine = inbox(principal, InboxFilter(box=Box.MINE), now=now)
    needs = [*_decided(principal, now), *_in_trouble()]
    waiting = mine.count() + len(needs)
    since = visits.last_visit(request, now=now)
    events = Event.objects.visible_to(principal).exclude(verb__in=QUIET)
    context = {
        "greeting": f"Hello, {principal.display}",
        "sentence": f"{waiting} waiting for you." if waiting else "Nothing waits for you.",
        "needs": [*_to_decide(mine), *needs],
        "more": max(0, waiting - len(needs) - DECIDE),
        "in_flight": [*_asked(principal, now), *_ramping(), *_deploying(), *_taking_over()],
        "since": since,
        "events": _since(events, since),
    }
    answer = render(request, "home/home.html", context)
    visits.note_visit(answer, request, since, now=now)
    return answer


def _since(events: EventQuerySet, since: datetime | None) -> list[tuple[Event, bool]]:
    """The newest events, each with whether it is newer than the last visit."""
    return [(event, since is not None and event.occurred_at > since) for event in events[:LIMIT]]


def _to_decide(waiting: QuerySet[PromotionRequest]) -> Iterator[Item]:
    for request in waiting[:DECIDE]:
        yield Item(
            kind="approval",
            title=_title(request),
            href=reverse("approval", args=[request.pk]),
            badge="needs a decision",
            words=request.reason[:100],
            tone="attention",
        )


def _decided(principal: Principal, now: datetime) -> Iterator[Item]:
    """What became of one's own requests that somebody turned down of late."""
    turned_down = (RequestState.REJECTED.value, RequestState.VOID.value, RequestState.EXPIRED.value)
    mine = inbox(principal, InboxFilter(box=Box.ASKED), now=now)
    for request in mine.filter(state__in=turned_down, decided_at__gte=now - LATELY)[:LIMIT]:
        yield Item(
            kind="your request",
            title=_title(request),
            href=reverse("approval", args=[request.pk]),
            badge=request.state,
            words=request.decision_reason[:100],
        )


def _asked(principal: Principal, now: datetime) -> Iterator[Item]:
    """One's own requests that wait for somebody else."""
    mine = inbox(principal, InboxFilter(box=Box.ASKED, state=RequestState.REQUESTED.value), now=now)
    for request in mine.filter(expires_at__gt=now)[:LIMIT]:
        yield Item(
            kind="your request",
            title=_title(request),
            href=reverse("approval", args=[request.pk]),
            badge=request.state,
            words=request.reason[:100],
        )


def _title(request: PromotionRequest) -> str:
    version = request.version
    return f"{version.model.name} v{version.number} → {request.target_stage}"


def _taking_over() -> Iterator[Item]:
    """Versions whose artifact is on its way in."""
    pending = ModelVersion.objects.filter(status=VersionStatus.PENDING.value)
    for version in pending.select_related("model", "takeover").order_by("-id")[:LIMIT]:
        takeover = getattr(version, "takeover", None)
        yield Item(
            kind="version",
            title=f"{version.model.name} v{version.number}",
            href=reverse("version", args=[version.model.name, version.number]),
            badge="pending",
            words=takeover.step if takeover else "waits for a worker",
        )


def _rollouts(*states: State) -> QuerySet[Rollout]:
    return Rollout.objects.filter(state__in=states).select_related(
        "endpoint", "candidate__model", "baseline"
    )


def _in_trouble() -> Iterator[Item]:
    for rollout in _rollouts(State.WAITING, State.PAUSED)[:LIMIT]:
        yield Item(
            kind="rollout",
            title=f"{rollout.endpoint.name}: v{rollout.candidate.number}",
            href=reverse("rollout", args=[rollout.pk]),
            badge=rollout.state,
            words=summary(rollout)[:120],
        )


def _ramping() -> Iterator[Item]:
    for rollout in _rollouts(State.PENDING, *(LIVE - {State.WAITING, State.PAUSED}))[:LIMIT]:
        yield Item(
            kind="rollout",
            title=f"{rollout.endpoint.name}: v{rollout.candidate.number}",
            href=reverse("rollout", args=[rollout.pk]),
            badge=rollout.state,
            words=summary(rollout)[:120],
        )


def _deploying() -> Iterator[Item]:
    running = Deployment.objects.moving().select_related("version__model", "target")
    for deployment in running[:LIMIT]:
        version = deployment.version
        yield Item(
            kind="deployment",
            title=f"{version.model.name} v{version.number} to {deployment.target.name}",
            href=reverse("version", args=[version.model.name, version.number]),
            badge=deployment.state,
            words=f"{deployment.progress:.0%}",
        )


@require_GET
@page(Permission.VIEW)
def search(request: HttpRequest) -> HttpResponse:
    """Models, versions, endpoints, experiments and people whose name holds `q`."""
    query = request.GET.get("q", "").strip()
    hits = list(_hits(query))[: HITS * 2] if query else []
    return render(request, "home/search.html", {"hits": hits, "query": query})


def _hits(query: str) -> Iterator[Hit]:
    for model in RegisteredModel.objects.filter(name__icontains=query)[:HITS]:
        yield Hit(model.name, reverse("model", args=[model.name]), "model")
    for endpoint in Endpoint.objects.filter(name__icontains=query)[:HITS]:
        yield Hit(endpoint.name, reverse("endpoint", args=[endpoint.name]), "endpoint")
    versions = ModelVersion.objects.filter(semantic_version__startswith=query)
    for version in versions.select_related("model")[:HITS]:
        title = f"{version.model.name} {version.semantic_version}"
        yield Hit(title, reverse("version", args=[version.model.name, version.number]), "version")
    for experiment in Experiment.objects.filter(name__icontains=query)[:HITS]:
        yield Hit(experiment.name, reverse("experiment", args=[experiment.pk]), "experiment")
    for user in User.objects.filter(username__icontains=query, is_active=True)[:HITS]:
        yield Hit(user.username, f"{reverse('audit')}?actor={user.key}", "person")
