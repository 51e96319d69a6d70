"""Where an endpoint's answers came from: the model, the cache, or what stands in for the model."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone

from apps.monitoring.selectors import endpoint_totals
from apps.routing.models import Endpoint

SPAN = timedelta(minutes=15)
KINDS = {
    "stale": "stale answers",
    "variant": "another variant",
    "default": "the default",
    "503": "nothing (503)",
}


@dataclass(frozen=True)
class Kind:
    """How many rows one step of the chain was the end of; `share` is of all requests."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class Fault:
    """How often a feature was wrong in one way, in requests that were refused for it."""

    feature: str
    kind: str
    count: int


@dataclass(frozen=True)
class Answers:
    """Exact counts of some time; `kinds` are in the order of the chain, `faults` the most first."""

    requests: int
    failed: int
    cache_hits: int
    fallbacks: int
    kinds: tuple[Kind, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def hit_rate(self) -> float | None:
        """Share of all requests that the cache answered; None without requests."""
        return self.cache_hits / self.requests if self.requests else None

    @property
    def fallback_share(self) -> float | None:
        """Share of all requests that something else answered; None without requests."""
        return self.fallbacks / self.requests if self.requests else None


def answers_of(endpoint_name: str, since: datetime, until: datetime) -> Answers:
    """Where the answers in [since, until) came from."""
    totals = endpoint_totals(endpoint_name, since, until)
    counts = totals.fallback_kinds
    return Answers(
        requests=totals.requests,
        failed=totals.failed,
        cache_hits=totals.cache_hits,
        fallbacks=totals.fallbacks,
        kinds=tuple(
            Kind(words, counts[kind], counts[kind] / totals.requests)
            for kind, words in KINDS.items()
            if counts.get(kind)
        ),
        faults=_faults(totals.feature_faults),
    )


def _faults(found: dict[str, dict[str, int]]) -> tuple[Fault, ...]:
    faults = [
        Fault(feature, kind, count)
        for feature, kinds in found.items()
        for kind, count in kinds.items()
    ]
    return tuple(sorted(faults, key=lambda each: (-each.count, each.feature, each.kind)))


def panel(found: Endpoint) -> dict[str, Any]:
    """What the endpoint's page shows of the last quarter of an hour."""
    until = timezone.now()
    return {"answers": answers_of(found.name, until - SPAN, until)}


def pieces(found: Endpoint) -> dict[str, dict[str, Any]]:
    """What moves of it."""
    html = render_to_string("monitoring/_answers.html", panel(found))
    return {"fragments": {"endpoint-answers": html}, "charts": {}}
