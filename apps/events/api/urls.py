"""REST routes of this app, under /api/v1/."""

from django.urls import path

from apps.events.api.views import EventsExportView, EventsLinesView, EventsView

urlpatterns = [
    path("events", EventsView.as_view(), name="api-events"),
    path("events.csv", EventsExportView.as_view(), name="api-events-export"),
    path("events.jsonl", EventsLinesView.as_view(), name="api-events-lines"),
]
