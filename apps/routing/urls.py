"""Routes of this app's pages."""

from django.urls import path

from apps.routing import views

urlpatterns = [
    path("endpoints/", views.endpoint_list, name="endpoint-list"),
    path("endpoints/<slug:name>/", views.endpoint, name="endpoint"),
    path("endpoints/<slug:name>/policy", views.policy, name="endpoint-policy"),
    path("endpoints/<slug:name>/restore", views.restore, name="endpoint-restore"),
]
