"""REST routes of this app, under /api/v1/."""

from django.urls import path

from apps.accounts.api import people, programs

urlpatterns = [
    path("me", people.MeView.as_view(), name="api-me"),
    path("me/tokens", programs.MyTokensView.as_view(), name="api-my-tokens"),
    path("users", people.UsersView.as_view(), name="api-users"),
    path("users/<str:username>", people.UserView.as_view(), name="api-user"),
    path(
        "users/<str:username>/activate",
        people.UserActivateView.as_view(),
        name="api-user-activate",
    ),
    path(
        "users/<str:username>/sign-out",
        people.UserSignOutView.as_view(),
        name="api-user-sign-out",
    ),
    path(
        "users/<str:username>/deactivate",
        people.UserDeactivateView.as_view(),
        name="api-user-deactivate",
    ),
    path("teams", people.TeamsView.as_view(), name="api-teams"),
    path("teams/<slug:key>/members", people.MembersView.as_view(), name="api-members"),
    path(
        "teams/<slug:key>/members/<str:username>/<slug:role>",
        people.MemberView.as_view(),
        name="api-member",
    ),
    path("service-accounts", programs.ServiceAccountsView.as_view(), name="api-service-accounts"),
    path(
        "service-accounts/<slug:name>",
        programs.ServiceAccountView.as_view(),
        name="api-service-account",
    ),
    path(
        "service-accounts/<slug:name>/disable",
        programs.ServiceAccountDisableView.as_view(),
        name="api-service-account-disable",
    ),
    path(
        "service-accounts/<slug:name>/enable",
        programs.ServiceAccountEnableView.as_view(),
        name="api-service-account-enable",
    ),
    path(
        "service-accounts/<slug:name>/hand-over",
        programs.ServiceAccountHandOverView.as_view(),
        name="api-service-account-hand-over",
    ),
    path(
        "service-accounts/<slug:name>/tokens",
        programs.ServiceAccountTokensView.as_view(),
        name="api-service-account-tokens",
    ),
    path("tokens/<int:pk>", programs.TokenView.as_view(), name="api-token"),
    path("tokens/<int:pk>/rotate", programs.TokenRotateView.as_view(), name="api-token-rotate"),
]
