"""REST routes of this app, under /api/v1/."""

from django.urls import URLPattern, path

from apps.experiments.api import views

ONE = "experiments/<uuid:experiment_id>"

urlpatterns: list[URLPattern] = [
    path("experiments", views.Experiments.as_view(), name="api-experiments"),
    path(ONE, views.OneExperiment.as_view(), name="api-experiment"),
    path(f"{ONE}/start", views.Start.as_view(), name="api-experiment-start"),
    path(f"{ONE}/stop", views.Stop.as_view(), name="api-experiment-stop"),
    path(f"{ONE}/decide", views.Decide.as_view(), name="api-experiment-decide"),
    path(f"{ONE}/archive", views.Archive.as_view(), name="api-experiment-archive"),
]
