"""Routes of this app's pages."""

from django.urls import path, re_path

from apps.registry.views import approvals, catalogue, versions

urlpatterns = [
    path("models/", catalogue.model_list, name="model-list"),
    path("models/<str:name>/", catalogue.model, name="model"),
    path("models/<str:name>/versions/<str:ref>/", versions.version, name="version"),
    path(
        "models/<str:name>/versions/<str:ref>/validate", versions.validate, name="version-validate"
    ),
    path(
        "models/<str:name>/versions/<str:ref>/promotion-requests",
        versions.request_promotion,
        name="version-request",
    ),
    path("approvals/", approvals.approval_list, name="approval-list"),
    path("approvals/<uuid:promotion_id>/", approvals.approval, name="approval"),
    re_path(
        r"^approvals/(?P<promotion_id>[0-9a-f-]{36})/(?P<decision>approve|reject|withdraw)$",
        approvals.decide,
        name="approval-decide",
    ),
]
