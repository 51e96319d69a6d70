"""Routes of this app's pages."""

from django.urls import path, re_path

from apps.deployments import views

urlpatterns = [
    path("rollouts/", views.rollout_list, name="rollout-list"),
    path("rollouts/<uuid:rollout_id>/", views.rollout, name="rollout"),
    re_path(
        r"^rollouts/(?P<rollout_id>[0-9a-f-]{36})/(?P<action>pause|resume|promote|rollback)$",
        views.act,
        name="rollout-act",
    ),
]
