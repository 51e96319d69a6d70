"""Routes of this app's pages."""

from django.urls import path

from apps.notices import views

urlpatterns = [
    path("webhooks/", views.webhook_list, name="webhook-list"),
    path("webhooks/new", views.webhook_create, name="webhook-create"),
    path("webhooks/<int:pk>/", views.webhook, name="webhook"),
    path("webhooks/<int:pk>/rotate", views.webhook_rotate, name="webhook-rotate"),
    path("webhooks/<int:pk>/test", views.webhook_test, name="webhook-test"),
    path("webhooks/<int:pk>/delete", views.webhook_delete, name="webhook-delete"),
    *(
        path(
            f"webhooks/<int:pk>/{action}",
            views.webhook_act,
            {"action": action},
            name=f"webhook-{action}",
        )
        for action in views.ACTS
    ),
    path("webhooks/deliveries/<uuid:pk>/", views.delivery, name="delivery"),
    path("webhooks/deliveries/<uuid:pk>/replay", views.delivery_replay, name="delivery-replay"),
    path("notices/", views.preferences, name="notice-preferences"),
]
