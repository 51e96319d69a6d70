"""Pages that join every floor: home and search."""

from collections.abc import Iterator
from dataclasses import dataclass

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
from apps.events.models import Event
from apps.experiments.models import Experiment
from apps.registry.models import ModelVersion, PromotionRequest, RegisteredModel
from apps.routing.models import Endpoint

LIMIT = 12
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
    """What needs whoever is signed in, what is in flight, what changed."""
    principal = principal_of(request)
    needs = [*_to_decide(principal), *_in_trouble()]
    context = {
        "greeting": f"Hello, {principal.display}",
        "sentence": f"{len(needs)} waiting for you." if needs else "Nothing waits for you.",
        "needs": needs,
        "in_flight": [*_ramping(), *_deploying()],
        "events": Event.objects.visible_to(principal).exclude(verb__in=QUIET)[:LIMIT],
    }
    return render(request, "home/home.html", context)


def _to_decide(principal: Principal) -> Iterator[Item]:
    teams = principal.teams_with(Permission.APPROVE)
    waiting = (
        PromotionRequest.objects.open(now=timezone.now())
        .filter(version__model__team__key__in=teams)
        .exclude(requester=principal.human_key)
        .exclude(version__author=principal.human_key)
        .select_related("version__model")
    )
    for request in waiting[:LIMIT]:
        version = request.version
        yield Item(
            kind="approval",
            title=f"{version.model.name} v{version.number} → {request.target_stage}",
            href=reverse("approval", args=[request.pk]),
            badge="needs a decision",
            words=request.reason[:100],
            tone="attention",
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
