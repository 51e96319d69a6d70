"""REST routes of this app, under /api/v1/."""

from django.urls import path

from apps.mirror.api import views

urlpatterns = [
    path("mirrors", views.MirrorsView.as_view(), name="api-mirrors"),
    path("mirrors/<int:pk>", views.MirrorView.as_view(), name="api-mirror"),
    path("mirrors/<int:pk>/poll", views.PollView.as_view(), name="api-mirror-poll"),
    path("mirrors/<int:pk>/pause", views.PauseView.as_view(), name="api-mirror-pause"),
    path("mirrors/<int:pk>/resume", views.ResumeView.as_view(), name="api-mirror-resume"),
    path(
        "mirrors/<int:pk>/differences",
        views.DifferencesView.as_view(),
        name="api-mirror-differences",
    ),
    path("mirror-differences/<int:pk>", views.DifferenceView.as_view(), name="api-difference"),
    path(
        "mirror-differences/<int:pk>/accept",
        views.AcceptView.as_view(),
        name="api-difference-accept",
    ),
    path(
        "mirror-differences/<int:pk>/revert",
        views.RevertView.as_view(),
        name="api-difference-revert",
    ),
]
