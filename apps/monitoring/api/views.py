"""REST resources of monitoring: reads only."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import ApiView, validated
from apps.events.errors import Invalid
from apps.monitoring import selectors
from apps.monitoring.api import examples
from apps.monitoring.api import serializers as shapes
from apps.monitoring.performance import Accuracy
from apps.monitoring.traffic import Line, VariantSeries, VariantTraffic
from apps.registry.selectors import get_version
from apps.routing.selectors import get_endpoint

DEFAULT_SPAN = timedelta(minutes=15)
DEFAULT_STEPS = 120
SHADOW_SPAN = timedelta(days=7)


class EndpointTraffic(ApiView):
    """What an endpoint's traffic was."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}

    @extend_schema(
        parameters=[shapes.PeriodSerializer],
        responses=shapes.TrafficSerializer,
        examples=[examples.TRAFFIC],
    )
    def get(self, request: Request, name: str) -> Response:
        """Exact counts, error rates and latencies, in total and over time, of each version in each
        role that it had."""
        endpoint = get_endpoint(name)
        since, until, step_s = _period(
            validated(shapes.PeriodSerializer(data=request.query_params))
        )
        lines = selectors.series(endpoint.name, since, until, step_s)
        found = selectors.traffic_by_line(endpoint.name, since, until)
        totals = selectors.endpoint_totals(endpoint.name, since, until)
        body = {
            "endpoint": endpoint.name,
            "since": since,
            "until": until,
            "step_s": next((line.step_s for line in lines.values()), step_s),
            "totals": totals,
            "variants": [
                _variant(line, found[line], lines[line]) for line in sorted(found) if line in lines
            ],
        }
        return Response(shapes.TrafficSerializer(body).data)


class EndpointShadow(ApiView):
    """What an endpoint's shadows said."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}

    @extend_schema(
        parameters=[shapes.ShadowQuery],
        responses=shapes.ShadowSerializer,
        examples=[examples.SHADOW],
    )
    def get(self, request: Request, name: str) -> Response:
        """Shadows beside the versions that answered: agreement, score shift and delay."""
        endpoint = get_endpoint(name)
        given = validated(shapes.ShadowQuery(data=request.query_params))
        until = given.get("until") or timezone.now()
        since = given.get("since") or until - SHADOW_SPAN
        if since >= until:
            raise Invalid("since must be before until", field="since")
        found = selectors.shadow_comparison(
            endpoint.name, given.get("version"), since, given.get("segment"), until=until
        )
        body = {"endpoint": endpoint.name, "since": since, "until": until, "comparisons": found}
        return Response(shapes.ShadowSerializer(body).data)


class VersionPerformance(ApiView):
    """How good a version's predictions were."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}

    @extend_schema(
        parameters=[shapes.SinceSerializer],
        responses=shapes.PerformanceSerializer,
        examples=[examples.PERFORMANCE],
    )
    def get(self, request: Request, model: str, version: str) -> Response:
        """Accuracy on sampled predictions whose labels have arrived, with its interval."""
        found = get_version(model, version)
        since = validated(shapes.SinceSerializer(data=request.query_params)).get("since")
        phases = selectors.performance(found.version_key, since)
        body = {
            "version": found.version_key,
            "since": since,
            "accuracy": _accuracy(sum((row.accuracy for row in phases), Accuracy())),
            "phases": [{**asdict(row), "accuracy": _accuracy(row.accuracy)} for row in phases],
        }
        return Response(shapes.PerformanceSerializer(body).data)


def _period(given: dict[str, Any]) -> tuple[datetime, datetime, int]:
    until = given.get("until") or timezone.now()
    since = given.get("since") or until - DEFAULT_SPAN
    if since >= until:
        raise Invalid("since must be before until", field="since")
    span = (until - since).total_seconds()
    return since, until, given.get("step_s") or max(1, round(span / DEFAULT_STEPS))


def _variant(line: Line, found: VariantTraffic, points: VariantSeries) -> dict[str, object]:
    rates = ("error_rate", "p50_ms", "p95_ms", "p99_ms", "mean_batch_rows")
    return {
        **line._asdict(),
        **asdict(found),
        **{name: getattr(found, name) for name in rates},
        "errors_by_kind": found.errors,
        "series": points,
    }


def _accuracy(found: Accuracy) -> dict[str, object]:
    return {
        **asdict(found),
        "share": found.share,
        "interval": found.interval(),
        "matured_share": found.matured_share,
    }
