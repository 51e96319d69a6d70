"""Routes of this app's pages."""

from django.urls import path, re_path

from apps.experiments import views

urlpatterns = [
    path("experiments/", views.experiment_list, name="experiment-list"),
    path("experiments/<uuid:experiment_id>/", views.experiment, name="experiment"),
    re_path(
        r"^experiments/(?P<experiment_id>[0-9a-f-]{36})/(?P<action>start|stop)$",
        views.act,
        name="experiment-act",
    ),
]
