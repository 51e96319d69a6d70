"""Prometheus figures of the web process, and of the event log that it reads."""

import hmac
import ipaddress
import time
from collections.abc import Callable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apps.events import chain
from apps.events.models import Cursor, DeadLetter

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "switchyard_web_requests",
    "Answers of the web process.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
SECONDS = Histogram(
    "switchyard_web_request_seconds",
    "Time to an answer.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class EventLogCollector(Collector):
    """How far the relay and its subscribers have come; read from Postgres at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Gauges: events without a place in the chain, lag and dead letters by subscriber."""
        waiting = chain.unchained().count()
        yield GaugeMetricFamily("switchyard_events_unchained", "Not yet chained.", waiting)
        lag = GaugeMetricFamily(
            "switchyard_subscriber_lag", "Events behind the head.", labels=("subscriber",)
        )
        last = chain.head().seq
        for cursor in Cursor.objects.all():
            lag.add_metric((cursor.subscriber,), last - cursor.seq)
        yield lag
        letters = GaugeMetricFamily(
            "switchyard_dead_letters", "Events given up on.", labels=("subscriber",)
        )
        for name, count in _dead_letters():
            letters.add_metric((name,), count)
        yield letters


def _dead_letters() -> list[tuple[str, int]]:
    kept = DeadLetter.objects.filter(replayed_at__isnull=True).values("subscriber")
    return list(kept.annotate(count=Count("pk")).values_list("subscriber", "count"))


REGISTRY.register(EventLogCollector())


@sync_and_async_middleware
def measure(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Count and time every answer by its route, never by its path."""

    def observe(request: HttpRequest, response: HttpResponse, began: float) -> HttpResponse:
        match = request.resolver_match
        route = match.route if match else "unmatched"
        method = request.method if request.method in METHODS else "other"
        REQUESTS.labels(method, route, str(response.status_code)).inc()
        SECONDS.labels(method, route).observe(time.perf_counter() - began)
        return response

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            began = time.perf_counter()
            return observe(request, await get_response(request), began)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        return observe(request, get_response(request), began)

    return synchronous


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures, for whoever holds METRICS_TOKEN; without one set, for this machine alone."""
    if not _may_read(request):
        return HttpResponse("not for you\n", status=403, content_type="text/plain")
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    token = settings.CONFIG.metrics_token
    if token is not None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), token.get_secret_value().encode())
    # A proxy on this machine would make everybody local; it says so in these headers.
    forwarded = {"X-Forwarded-For", "Forwarded"} & set(request.headers)
    return not forwarded and _is_loopback(request.META.get("REMOTE_ADDR", ""))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
