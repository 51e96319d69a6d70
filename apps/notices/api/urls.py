"""REST routes of this app, under /api/v1/."""

from django.urls import path

from apps.notices.api import views

urlpatterns = [
    path("me/notices", views.PreferencesView.as_view(), name="api-my-notices"),
    path("webhooks", views.WebhooksView.as_view(), name="api-webhooks"),
    path("webhooks/<int:pk>", views.WebhookView.as_view(), name="api-webhook"),
    path("webhooks/<int:pk>/rotate", views.RotateSecretView.as_view(), name="api-webhook-rotate"),
    path("webhooks/<int:pk>/enable", views.EnableView.as_view(), name="api-webhook-enable"),
    path("webhooks/<int:pk>/disable", views.DisableView.as_view(), name="api-webhook-disable"),
    path("webhooks/<int:pk>/test", views.SendTestView.as_view(), name="api-webhook-test"),
    path(
        "webhooks/<int:pk>/replay-dead",
        views.ReplayDeadView.as_view(),
        name="api-webhook-replay-dead",
    ),
    path(
        "webhooks/<int:pk>/deliveries",
        views.DeliveriesView.as_view(),
        name="api-webhook-deliveries",
    ),
    path("webhook-deliveries/<uuid:pk>", views.DeliveryView.as_view(), name="api-delivery"),
    path(
        "webhook-deliveries/<uuid:pk>/replay",
        views.ReplayView.as_view(),
        name="api-delivery-replay",
    ),
]
