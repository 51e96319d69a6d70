"""Every websocket route of the web process."""

from django.urls import path

from apps.deployments.consumers import RolloutPage
from apps.experiments.consumers import ExperimentPage
from apps.routing.consumers import EndpointPage

websocket_urlpatterns = [
    path("ws/endpoints/<slug:name>/", EndpointPage.as_asgi()),
    path("ws/experiments/<uuid:experiment_id>/", ExperimentPage.as_asgi()),
    path("ws/rollouts/<uuid:rollout_id>/", RolloutPage.as_asgi()),
]
