"""REST routes of this app, under /api/v1/."""

from django.urls import URLPattern, path

from apps.routing.api import views

ENDPOINT = "endpoints/<str:name>"

urlpatterns: list[URLPattern] = [
    path("endpoints", views.Endpoints.as_view(), name="api-endpoints"),
    path(ENDPOINT, views.OneEndpoint.as_view(), name="api-endpoint"),
    path(f"{ENDPOINT}/weights", views.Weights.as_view(), name="api-weights"),
    path(f"{ENDPOINT}/weights/preview", views.Preview.as_view(), name="api-weights-preview"),
    path(f"{ENDPOINT}/phases", views.Phases.as_view(), name="api-phases"),
    path(f"{ENDPOINT}/generations", views.Generations.as_view(), name="api-generations"),
    path(f"{ENDPOINT}/restore", views.Restore.as_view(), name="api-restore"),
    path(f"{ENDPOINT}/assignment", views.AssignmentView.as_view(), name="api-assignment"),
    path(f"{ENDPOINT}/overrides", views.Overrides.as_view(), name="api-overrides"),
    path(f"{ENDPOINT}/overrides/acknowledge", views.Acknowledge.as_view(), name="api-acknowledge"),
    path("generations/<int:number>/changes", views.Difference.as_view(), name="api-changes"),
    path("gateways", views.Gateways.as_view(), name="api-gateways"),
]
