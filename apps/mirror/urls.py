"""Routes of this app's pages."""

from django.urls import path

from apps.mirror import views

urlpatterns = [
    path("mirrors/", views.mirror_list, name="mirror-list"),
    path("mirrors/new", views.mirror_create, name="mirror-create"),
    path("mirrors/<int:pk>/", views.mirror, name="mirror"),
    path("mirrors/<int:pk>/poll", views.mirror_poll, name="mirror-poll"),
    path("mirrors/<int:pk>/pause", views.mirror_pause, name="mirror-pause"),
    path("mirrors/<int:pk>/resume", views.mirror_resume, name="mirror-resume"),
    path("mirrors/<int:pk>/delete", views.mirror_delete, name="mirror-delete"),
    path("mirrors/<int:pk>/hints", views.hint, name="mirror-hint"),
    path("mirrors/differences/<int:pk>/accept", views.difference_accept, name="difference-accept"),
    path("mirrors/differences/<int:pk>/revert", views.difference_revert, name="difference-revert"),
]
