"""Where an endpoint's answers came from: the model, the cache, or what stands in for the model."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count
from django.template.loader import render_to_string
from django.utils import timezone

from apps.monitoring.models import PredictionRow
from apps.monitoring.selectors import endpoint_totals
from apps.routing.models import Endpoint

SPAN = timedelta(minutes=15)
KINDS = {"stale": "a stale answer", "default": "the default"}


@dataclass(frozen=True)
class Kind:
    """How many sampled fallbacks were of one kind; `share` is of all sampled fallbacks."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class Answers:
    """Exact counts of some time, and the kinds of the fallbacks among its sampled predictions."""

    requests: int
    failed: int
    cache_hits: int
    fallbacks: int
    kinds: tuple[Kind, ...]

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
    return Answers(
        requests=totals.requests,
        failed=totals.failed,
        cache_hits=totals.cache_hits,
        fallbacks=totals.fallbacks,
        kinds=_kinds(endpoint_name, since, until) if totals.fallbacks else (),
    )


def _kinds(endpoint_name: str, since: datetime, until: datetime) -> tuple[Kind, ...]:
    rows = (
        PredictionRow.objects.filter(
            endpoint=endpoint_name, occurred_at__gte=since, occurred_at__lt=until
        )
        .exclude(fallback="")
        .values_list("fallback")
        .annotate(count=Count("prediction_id"))
        .order_by("-count", "fallback")
    )
    found = list(rows)
    total = sum(count for _, count in found)
    return tuple(Kind(_words(kind), count, count / total) for kind, count in found)


def _words(kind: str) -> str:
    """A kind as records name it ("stale", "variant:backup", "default") in words."""
    return KINDS.get(kind) or kind.removeprefix("variant:")


def panel(found: Endpoint) -> dict[str, Any]:
    """What the endpoint's page shows of the last quarter of an hour."""
    until = timezone.now()
    answers = answers_of(found.name, until - SPAN, until)
    return {"answers": answers, "sampled": sum(kind.count for kind in answers.kinds)}


def pieces(found: Endpoint) -> dict[str, dict[str, Any]]:
    """What moves of it."""
    html = render_to_string("monitoring/_answers.html", panel(found))
    return {"fragments": {"endpoint-answers": html}, "charts": {}}
