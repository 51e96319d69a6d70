"""Routes of this app's pages."""

from django.urls import path, re_path

from apps.registry import views

urlpatterns = [
    path("models/", views.model_list, name="model-list"),
    path("models/<slug:name>/", views.model, name="model"),
    path("models/<slug:name>/versions/<str:ref>/", views.version, name="version"),
    path("models/<slug:name>/versions/<str:ref>/validate", views.validate, name="version-validate"),
    path(
        "models/<slug:name>/versions/<str:ref>/promotion-requests",
        views.request_promotion,
        name="version-request",
    ),
    path("approvals/", views.approval_list, name="approval-list"),
    path("approvals/<uuid:promotion_id>/", views.approval, name="approval"),
    re_path(
        r"^approvals/(?P<promotion_id>[0-9a-f-]{36})/(?P<decision>approve|reject|withdraw)$",
        views.decide,
        name="approval-decide",
    ),
]
