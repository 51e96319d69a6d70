"""Admin pages of people, programs and tokens."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts import services
from apps.accounts.models import Membership, ServiceAccount, Session, Team, Token, User
from apps.accounts.principals import principal_of
from apps.events.administration import ReadOnlyAdmin

# Roles in teams decide: Django's groups mean nothing here. The rest of what django-allauth brings
# is of ways to sign in that we do not have, or shows secrets.
for unwanted in (Group, EmailAddress, SocialApp, SocialToken, SocialAccount, Authenticator):
    if admin.site.is_registered(unwanted):
        admin.site.unregister(unwanted)


@admin.register(SocialAccount)
class IdentityAdmin(ReadOnlyAdmin):
    """Accounts at the identity provider, by which people sign in."""

    list_display = ("user", "provider", "uid", "last_login", "date_joined")
    list_select_related = ("user",)
    search_fields = ("user__username", "uid")
    fields = (*list_display, "extra_data")


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """One-time and recovery codes, without their secrets."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    list_select_related = ("user",)
    fields = list_display


@admin.register(AccessAttempt)
class FailedSignInAdmin(ReadOnlyAdmin):
    """Failed sign-ins by name and address; ten lock the pair out for a while."""

    list_display = ("username", "ip_address", "failures_since_start", "attempt_time")
    search_fields = ("username", "ip_address")
    fields = (*list_display, "user_agent", "path_info")


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Who is signed in, without the keys."""

    list_display = ("user", "created_at", "seen_at", "expire_date")
    list_select_related = ("user",)
    fields = list_display
    actions = ("sign_out",)

    @admin.action(description="Sign out everywhere", permissions=["view"])
    def sign_out(self, request: HttpRequest, rows: QuerySet[Session]) -> None:
        """End every session of the people chosen."""
        actor = principal_of(request)
        people = User.objects.filter(sessions__in=rows).distinct()
        self.perform(
            request,
            people,
            lambda user, reason: services.end_sessions(actor=actor, user=user, reason=reason),
        )


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """People; their password hashes are nobody's business."""

    list_display = ("username", "get_full_name", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("username", "first_name", "last_name", "email")
    fields = (*list_display, "date_joined")
    actions = ("deactivate",)

    @admin.action(description="Deactivate", permissions=["view"])
    def deactivate(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        """Shut people out."""
        actor = principal_of(request)
        self.perform(
            request,
            rows,
            lambda user, reason: services.deactivate_user(actor=actor, user=user, reason=reason),
        )


@admin.register(Team)
class TeamAdmin(ReadOnlyAdmin):
    """Teams."""

    list_display = ("key", "name", "created_at")


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """Who is what in which team."""

    list_display = ("user", "team", "role")
    list_filter = ("team", "role")
    list_select_related = ("user", "team")


@admin.register(ServiceAccount)
class ServiceAccountAdmin(ReadOnlyAdmin):
    """Programs."""

    list_display = (
        "name",
        "team",
        "role",
        "responsible",
        "requests_per_second",
        "burst",
        "tier",
        "budget",
        "disabled_at",
        "orphaned_at",
    )
    list_filter = ("team", "role", "tier")
    list_select_related = ("team", "responsible")
    search_fields = ("name",)
    actions = ("disable", "enable")

    @admin.action(description="Disable", permissions=["view"])
    def disable(self, request: HttpRequest, rows: QuerySet[ServiceAccount]) -> None:
        """Stop programs."""
        actor = principal_of(request)
        self.perform(
            request,
            rows,
            lambda account, reason: services.disable_service_account(
                actor=actor, account=account, reason=reason
            ),
        )

    @admin.action(description="Enable", permissions=["view"])
    def enable(self, request: HttpRequest, rows: QuerySet[ServiceAccount]) -> None:
        """Let programs go on."""
        actor = principal_of(request)
        self.perform(
            request,
            rows,
            lambda account, reason: services.enable_service_account(
                actor=actor, account=account, reason=reason
            ),
        )


@admin.register(Token)
class TokenAdmin(ReadOnlyAdmin):
    """Tokens, without their digests."""

    list_display = (
        "prefix",
        "name",
        "user",
        "service_account",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_select_related = ("user", "service_account")
    fields = (*list_display, "scopes", "created_at")
    actions = ("revoke",)

    @admin.action(description="Revoke", permissions=["view"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Token]) -> None:
        """End tokens at once."""
        actor = principal_of(request)
        self.perform(
            request,
            rows,
            lambda token, reason: services.revoke_token(actor=actor, token=token, reason=reason),
        )
