"""Routes of this app's pages."""

from django.urls import path

from apps.accounts import views

urlpatterns = [
    path("sign-in/", views.SignInView.as_view(), name="sign-in"),
    path("sign-out/", views.SignOutView.as_view(), name="sign-out"),
    path("password/", views.password, name="password"),
    path("admin/password_change/", views.admin_password, name="admin-password"),
    path("admin/login/", views.admin_sign_in, name="admin-sign-in"),
    path("audit/", views.audit, name="audit"),
]
