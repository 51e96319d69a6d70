"""REST routes of this app, under /api/v1/."""

from django.urls import URLPattern, path

from apps.deployments.api import views

ROLLOUT = "rollouts/<uuid:rollout_id>"

urlpatterns: list[URLPattern] = [
    path("models/<str:model>/deploy", views.Deploy.as_view(), name="api-deploy"),
    path("deployments", views.Deployments.as_view(), name="api-deployments"),
    path("deployments/<uuid:deployment_id>", views.OneDeployment.as_view(), name="api-deployment"),
    path(
        "deployments/<uuid:deployment_id>/remove",
        views.RemoveDeployment.as_view(),
        name="api-deployment-remove",
    ),
    path("targets", views.Targets.as_view(), name="api-targets"),
    path(
        "endpoints/<str:name>/rollouts",
        views.EndpointRollouts.as_view(),
        name="api-endpoint-rollouts",
    ),
    path("rollouts", views.Rollouts.as_view(), name="api-rollouts"),
    path(ROLLOUT, views.OneRollout.as_view(), name="api-rollout"),
    path(f"{ROLLOUT}/pause", views.Pause.as_view(), name="api-rollout-pause"),
    path(f"{ROLLOUT}/resume", views.Resume.as_view(), name="api-rollout-resume"),
    path(f"{ROLLOUT}/promote", views.Promote.as_view(), name="api-rollout-promote"),
    path(f"{ROLLOUT}/abort", views.Abort.as_view(), name="api-rollout-abort"),
    path(f"{ROLLOUT}/rollback", views.Rollback.as_view(), name="api-rollout-rollback"),
    path(f"{ROLLOUT}/verdicts", views.Verdicts.as_view(), name="api-rollout-verdicts"),
]
