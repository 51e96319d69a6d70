"""REST: who am I, people, teams and their members."""

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors, services
from apps.accounts.access import Permission, Role
from apps.accounts.api.base import ApiGenericView, ApiView, ReasonInput, validated
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


class MeView(ApiView):
    """Who the credentials belong to."""

    permissions = {"GET": Permission.VIEW}

    @extend_schema(operation_id="me", tags=TAGS, responses=MeSerializer, examples=[ME])
    def get(self, request: Request) -> Response:
        """Whoever makes this request: key, roles and permissions by team, scopes."""
        return Response(MeSerializer(self.principal).data)


class TeamsView(ApiGenericView):
    """Teams."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    queryset = Team.objects.all()
    serializer_class = TeamSerializer

    @extend_schema(operation_id="teams_list", tags=TAGS, responses=TeamSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every team."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(TeamSerializer(page, many=True).data)

    @extend_schema(
        operation_id="teams_create",
        tags=TAGS,
        request=TeamInput,
        responses={201: TeamSerializer},
        examples=[
            OpenApiExample("A team", value={"key": "fraud", "name": "Fraud"}, request_only=True)
        ],
    )
    def post(self, request: Request) -> Response:
        """Add a team; whoever does it becomes its first administrator."""
        data = validated(TeamInput(data=request.data))
        team = services.create_team(actor=self.principal, **data)
        return Response(TeamSerializer(team).data, status=status.HTTP_201_CREATED)


class MembersView(ApiGenericView):
    """Members of a team."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    queryset = Membership.objects.select_related("user")
    serializer_class = MembershipSerializer

    @extend_schema(
        operation_id="members_list", tags=TAGS, responses=MembershipSerializer(many=True)
    )
    def get(self, request: Request, key: str) -> Response:
        """People of a team and their roles."""
        members = self.get_queryset().filter(team=selectors.get_team(key))
        page = self.paginate_queryset(members)
        return self.get_paginated_response(MembershipSerializer(page, many=True).data)

    @extend_schema(
        operation_id="members_add",
        tags=TAGS,
        request=MembershipInput,
        responses={201: MembershipSerializer},
        examples=[
            OpenApiExample(
                "A role",
                value={"username": "ada", "role": "approver", "reason": "joins the on-call"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request, key: str) -> Response:
        """Give a person a role in the team."""
        data = validated(MembershipInput(data=request.data))
        membership = services.add_member(
            actor=self.principal,
            user=selectors.get_user(data["username"]),
            team=selectors.get_team(key),
            role=Role(data["role"]),
            reason=data.get("reason", ""),
        )
        return Response(MembershipSerializer(membership).data, status=status.HTTP_201_CREATED)


class MemberView(ApiView):
    """One role of one person in a team."""

    permissions = {"DELETE": Permission.ADMINISTER}

    @extend_schema(operation_id="members_remove", tags=TAGS, responses={204: None})
    def delete(self, request: Request, key: str, username: str, role: str) -> Response:
        """Take a role from a person."""
        services.remove_member(
            actor=self.principal,
            user=selectors.get_user(username),
            team=selectors.get_team(key),
            role=selectors.get_role(role),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class UsersView(ApiGenericView):
    """People."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    queryset = User.objects.all()
    serializer_class = UserSerializer

    @extend_schema(operation_id="users_list", tags=TAGS, responses=UserSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Everybody, the newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(UserSerializer(page, many=True).data)

    @extend_schema(
        operation_id="users_create",
        tags=TAGS,
        request=UserInput,
        responses={201: UserSerializer},
        examples=[
            OpenApiExample(
                "A person",
                value={"username": "ada", "password": "correct horse battery staple"},
                request_only=True,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Add a person."""
        data = validated(UserInput(data=request.data))
        user = services.create_user(actor=self.principal, **data)
        return Response(UserSerializer(user).data, status=status.HTTP_201_CREATED)


class UserDeactivateView(ApiView):
    """Shut a person out."""

    permissions = {"POST": Permission.ADMINISTER}

    @extend_schema(
        operation_id="users_deactivate",
        tags=TAGS,
        request=ReasonInput,
        responses=UserSerializer,
    )
    def post(self, request: Request, username: str) -> Response:
        """End a person's sign-ins and tokens; what they did stays."""
        data = validated(ReasonInput(data=request.data))
        user = selectors.get_user(username)
        services.deactivate_user(actor=self.principal, user=user, reason=data["reason"])
        return Response(UserSerializer(user).data)
