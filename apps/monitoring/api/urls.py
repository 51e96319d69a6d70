"""REST routes of this app, under /api/v1/."""

from django.urls import URLPattern, path

from apps.monitoring.api import views

urlpatterns: list[URLPattern] = [
    path("endpoints/<str:name>/traffic", views.EndpointTraffic.as_view(), name="api-traffic"),
    path("endpoints/<str:name>/shadow", views.EndpointShadow.as_view(), name="api-shadow"),
    path(
        "models/<str:model>/versions/<str:version>/performance",
        views.VersionPerformance.as_view(),
        name="api-performance",
    ),
]
