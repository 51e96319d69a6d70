"""Routes of this app's pages. Of django-allauth's own pages none is routed."""

from django.urls import path

from apps.accounts.views import audit, people, programs, security, sign_in, tokens

urlpatterns = [
    path("sign-in/", sign_in.SignInView.as_view(), name="sign-in"),
    # The three names that django-allauth looks up.
    path("sign-in/code/", sign_in.code, name="mfa_authenticate"),
    path("sign-in/<slug:provider_id>/", sign_in.leave_for_provider, name="openid_connect_login"),
    path(
        "sign-in/<slug:provider_id>/back/",
        sign_in.back_from_provider,
        name="openid_connect_callback",
    ),
    path("sign-out/", sign_in.SignOutView.as_view(), name="sign-out"),
    path("password/", security.password, name="password"),
    path("security/", security.security, name="security"),
    path("security/confirm/", security.confirm, name="confirm"),
    path("security/codes/", security.codes, name="codes"),
    path("security/codes/off", security.codes_off, name="codes-off"),
    path("security/codes/recovery", security.recovery_codes, name="recovery-codes"),
    path("security/sign-out", security.sign_out_elsewhere, name="sign-out-elsewhere"),
    path("security/disconnect", security.disconnect, name="disconnect"),
    path("security/tokens", tokens.my_tokens, name="my-tokens"),
    path("tokens/<int:pk>/rotate", tokens.rotate, name="token-rotate"),
    path("tokens/<int:pk>/revoke", tokens.revoke, name="token-revoke"),
    path("teams/", people.team_list, name="team-list"),
    path("teams/add", people.team_add, name="team-add"),
    path("teams/<slug:key>/", people.team, name="team"),
    path("teams/<slug:key>/members/add", people.member_add, name="member-add"),
    path("teams/<slug:key>/members/remove", people.member_remove, name="member-remove"),
    path("people/", people.person_list, name="person-list"),
    path("people/add", people.person_add, name="person-add"),
    path("people/<str:username>/", people.person, name="person"),
    path("people/<str:username>/<slug:act>", people.person_act, name="person-act"),
    path("service-accounts/", programs.program_list, name="service-account-list"),
    path("service-accounts/add", programs.program_add, name="service-account-add"),
    path("service-accounts/<slug:name>/", programs.program, name="service-account"),
    path(
        "service-accounts/<slug:name>/tokens",
        tokens.program_tokens,
        name="service-account-tokens",
    ),
    path("service-accounts/<slug:name>/<slug:act>", programs.program_act, name="program-act"),
    path("admin/password_change/", security.admin_password, name="admin-password"),
    path("admin/login/", sign_in.admin_sign_in, name="admin-sign-in"),
    path("audit/", audit.audit, name="audit"),
    path("audit/<uuid:event_id>/", audit.event, name="audit-event"),
]
