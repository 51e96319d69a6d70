"""Admin pages of people, programs and tokens."""

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.accounts import services
from apps.accounts.models import Membership, ServiceAccount, Team, Token, User
from apps.accounts.principals import principal_of
from apps.events.administration import ReadOnlyAdmin

# Roles in teams decide; Django's groups mean nothing here.
admin.site.unregister(Group)


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
