"""REST: reading the event log. There is no writing: services do that."""

from typing import cast

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from apps.events import export
from apps.events.api.serializers import EventFilters, EventSerializer
from apps.events.models import Event, EventQuerySet, Reader

EXAMPLE = OpenApiExample(
    "An approval",
    value={
        "id": "01980a5c-58f0-7cc4-a3cf-7f1c8ad3a0b1",
        "seq": 4711,
        "occurred_at": "2026-06-01T08:30:00.123456Z",
        "actor_key": "user:approver",
        "responsible_key": "",
        "verb": "promotion.approved",
        "object_key": "version:flights/2",
        "team_key": "flights",
        "before": {"stage": "staging"},
        "after": {"stage": "production"},
        "reason": "better on March, evidence looks sound",
        "correlation_id": "6a1f0c",
    },
    response_only=True,
)


class EventsView(GenericAPIView[Event]):
    """The audit trail."""

    # This floor knows no permissions; their names are enough (see accounts.access).
    permissions = {"GET": "view"}
    queryset = Event.objects.none()
    serializer_class = EventSerializer

    @extend_schema(
        operation_id="events_list",
        tags=["events"],
        parameters=[EventFilters],
        responses=EventSerializer(many=True),
        examples=[EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        """Events of your teams and those of no team, newest first; administrators see all."""
        page = self.paginate_queryset(matching(request).select_related("chained"))
        return self.get_paginated_response(EventSerializer(page, many=True).data)


class EventsExportView(GenericAPIView[Event]):
    """The audit trail as a table."""

    permissions = {"GET": "view"}
    queryset = Event.objects.none()
    serializer_class = EventSerializer

    @extend_schema(
        operation_id="events_export",
        tags=["events"],
        parameters=[EventFilters],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Everything that fits as CSV, newest first, sent as it is read."""
        chunks = export.as_csv(matching(request))
        return export.stream(request._request, chunks, content_type="text/csv", name="events.csv")


class EventsLinesView(GenericAPIView[Event]):
    """The audit trail as lines of JSON."""

    permissions = {"GET": "view"}
    queryset = Event.objects.none()
    serializer_class = EventSerializer

    @extend_schema(
        operation_id="events_export_lines",
        tags=["events"],
        parameters=[EventFilters],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Everything that fits, one JSON object a line with before and after, newest first."""
        chunks = export.as_lines(matching(request))
        return export.stream(
            request._request, chunks, content_type="application/x-ndjson", name="events.jsonl"
        )


def matching(request: Request) -> EventQuerySet:
    """What the principal may see and the query asks for. Raises ValidationError."""
    filters = EventFilters(data=request.query_params)
    filters.is_valid(raise_exception=True)
    visible = Event.objects.visible_to(cast(Reader, request.auth))
    return visible.matching(**filters.validated_data).order_by("-id")
