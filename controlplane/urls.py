"""Every route of the web process: pages, REST, OpenAPI, admin."""

from http import HTTPStatus
from importlib.util import find_spec
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.accounts.access import Permission
from apps.deployments.api.views import Deploy
from controlplane import faults, health, metrics, views


class SchemaView(SpectacularAPIView):
    """The OpenAPI document."""

    permissions = {"GET": Permission.VIEW}


class DocsView(SpectacularSwaggerSplitView):
    """The OpenAPI document, to read and try; its script has an address of its own."""

    permissions = {"GET": Permission.VIEW}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A person without a session is sent to sign in; a program gets the problem."""
        answer = super().dispatch(request, *args, **kwargs)
        refused = answer.status_code == HTTPStatus.UNAUTHORIZED
        if refused and "text/html" in request.headers.get("Accept", ""):
            return faults.to_sign_in(request)
        return answer


APPS = (
    "accounts",
    "notices",
    "events",
    "registry",
    "mirror",
    "routing",
    "monitoring",
    "experiments",
    "deployments",
)
api = [path("", include(f"apps.{name}.api.urls")) for name in APPS]
pages = [path("", include(f"apps.{name}.urls")) for name in APPS if find_spec(f"apps.{name}.urls")]

urlpatterns = [
    path("", views.home, name="home"),
    path("search", views.search, name="search"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("api/v1/", include(api)),
    path("", include("apps.registry.protocol.urls")),
    path("v1/models/<str:model>/deploy", Deploy.as_view(), name="deploy"),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="api-docs"),
    # Pages first: one of them stands in for the admin's own sign-in.
    *pages,
    path("admin/", admin.site.urls),
]

handler400 = "controlplane.faults.bad_request"
handler403 = "controlplane.faults.permission_denied"
handler404 = "controlplane.faults.not_found"
handler500 = "controlplane.faults.server_error"
