"""REST: who am I, people, teams and their members."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import services
from apps.accounts.access import Permission
from apps.accounts.api.base import (
    REASON,
    Action,
    ApiView,
    ListView,
    ReasonInput,
    reason_of,
)
from apps.accounts.api.serializers import (
    MembershipInput,
    MembershipSerializer,
    MeSerializer,
    TeamInput,
    TeamSerializer,
    UserInput,
    UserSerializer,
)
from apps.accounts.models import Membership, Team, User
from apps.accounts.selectors import get_role, get_team, get_user

TAGS = ["accounts"]
ME = OpenApiExample(
    "A data scientist",
    value={
        "key": "user:scientist",
        "display": "Sofia Marin",
        "kind": "user",
        "responsible_key": "",
        "roles": {"flights": ["scientist"]},
        "permissions": {"flights": ["view", "register", "validate", "request_promotion"]},
        "scopes": None,
    },
    response_only=True,
)
TEAM = OpenApiExample("A team", value={"key": "fraud", "name": "Fraud"}, request_only=True)
MEMBER = OpenApiExample(
    "A role",
    value={"username": "ada", "role": "approver", "reason": "joins the on-call"},
    request_only=True,
)
PERSON = OpenApiExample(
    "A person",
    value={"username": "ada", "password": "correct horse battery staple"},
    request_only=True,
)


class MeView(ApiView):
    """Who the credentials belong to."""

    permissions = {"GET": Permission.VIEW}

    @extend_schema(operation_id="me", tags=TAGS, responses=MeSerializer, examples=[ME])
    def get(self, request: Request) -> Response:
        """Whoever makes this request: key, roles and permissions by team, scopes."""
        return Response(MeSerializer(self.principal).data)


class TeamsView(Action, ListView):
    """Every team."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    operations = {"GET": "teams_list", "POST": "teams_create"}
    tags = TAGS
    queryset = Team.objects.all()
    serializer_class = shows = TeamSerializer
    takes = TeamInput
    status = 201
    examples = (TEAM,)

    def act(self, given: dict[str, Any], **_: Any) -> Team:
        """Add a team; whoever does it becomes its first administrator."""
        return services.create_team(actor=self.principal, **given)


class MembersView(Action, ListView):
    """People of a team and their roles."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    operations = {"GET": "members_list", "POST": "members_add"}
    tags = TAGS
    queryset = Membership.objects.select_related("user")
    serializer_class = shows = MembershipSerializer
    takes = MembershipInput
    status = 201
    examples = (MEMBER,)

    def get_queryset(self) -> QuerySet[Membership]:
        """Members of the team in the path."""
        rows = super().get_queryset()
        return rows if self.is_described else rows.filter(team=get_team(self.kwargs["key"]))

    def act(self, given: dict[str, Any], **path: Any) -> Membership:
        """Give a person a role in the team."""
        return services.add_member(
            actor=self.principal,
            user=get_user(given.pop("username")),
            team=get_team(path["key"]),
            **given,
        )


class MemberView(ApiView):
    """One role of one person in a team."""

    permissions = {"DELETE": Permission.ADMINISTER}

    @extend_schema(
        operation_id="members_remove",
        tags=TAGS,
        request=ReasonInput,
        parameters=[REASON],
        responses={204: None},
    )
    def delete(self, request: Request, key: str, username: str, role: str) -> Response:
        """Take a role from a person, with a reason."""
        services.remove_member(
            actor=self.principal,
            user=get_user(username),
            team=get_team(key),
            role=get_role(role),
            reason=reason_of(request),
        )
        return Response(status=204)


class UsersView(Action, ListView):
    """Everybody, the newest first."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    operations = {"GET": "users_list", "POST": "users_create"}
    tags = TAGS
    queryset = User.objects.all()
    serializer_class = shows = UserSerializer
    takes = UserInput
    status = 201
    examples = (PERSON,)

    def act(self, given: dict[str, Any], **_: Any) -> User:
        """Add a person."""
        return services.create_user(actor=self.principal, **given)


class UserView(ApiView):
    """One person."""

    permissions = {"GET": Permission.VIEW}

    @extend_schema(operation_id="users_read", tags=TAGS, responses=UserSerializer)
    def get(self, request: Request, username: str) -> Response:
        """A person, by name."""
        return Response(UserSerializer(get_user(username)).data)


class UserAction(Action):
    """What an administrator does to a person."""

    permissions = {"POST": Permission.ADMINISTER}
    tags = TAGS
    shows = UserSerializer
    service: ClassVar[Callable[..., object]]

    def act(self, given: dict[str, Any], **path: Any) -> User:
        user = get_user(path["username"])
        type(self).service(actor=self.principal, user=user, **given)
        return user


class UserDeactivateView(UserAction):
    """End a person's sign-ins and tokens; what they did stays."""

    operations = {"POST": "users_deactivate"}
    service = staticmethod(services.deactivate_user)


class UserActivateView(UserAction):
    """Let a deactivated person in again, with the roles they still hold."""

    operations = {"POST": "users_activate"}
    service = staticmethod(services.activate_user)


class UserSignOutView(UserAction):
    """End every session of a person; tokens go on."""

    operations = {"POST": "users_sign_out"}
    service = staticmethod(services.end_sessions)
