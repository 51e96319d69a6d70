"""Every route of the web process: pages, REST, OpenAPI, admin."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.accounts.access import Permission


class SchemaView(SpectacularAPIView):
    """The OpenAPI document."""

    permissions = {"GET": Permission.VIEW}


class DocsView(SpectacularSwaggerView):
    """The OpenAPI document, to read and try."""

    permissions = {"GET": Permission.VIEW}


api = [
    path("", include(f"apps.{name}.api.urls"))
    for name in (
        "accounts",
        "events",
        "registry",
        "routing",
        "monitoring",
        "experiments",
        "deployments",
    )
]

urlpatterns = [
    path("api/v1/", include(api)),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(), name="api-docs"),
    path("admin/", admin.site.urls),
]
