"""REST: service accounts and tokens."""

from datetime import timedelta

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors, services
from apps.accounts.access import Permission, Role
from apps.accounts.api.base import ApiGenericView, ApiView, ReasonInput, validated
from apps.accounts.api.serializers import (
    IssuedTokenSerializer,
    RotationInput,
    ServiceAccountInput,
    ServiceAccountSerializer,
    TokenInput,
    TokenSerializer,
)
from apps.accounts.errors import PermissionDenied
from apps.accounts.models import ServiceAccount, Token, User

TAGS = ["accounts"]
NEW_ACCOUNT = OpenApiExample(
    "A client of one endpoint",
    value={
        "name": "check-in-desk",
        "team": "flights",
        "role": "client",
        "responsible": "operator",
        "endpoints": ["flights"],
        "requests_per_second": 200,
    },
    request_only=True,
)
NEW_TOKEN = OpenApiExample(
    "A token that only looks",
    value={"name": "dashboard", "scopes": ["view"], "expires_at": "2027-01-01T00:00:00Z"},
    request_only=True,
)
ROTATION = OpenApiExample(
    "An hour to change over",
    value={"expires_at": "2027-01-01T00:00:00Z", "overlap_s": 3600, "reason": "yearly"},
    request_only=True,
)
ISSUED = OpenApiExample(
    "Shown this once",
    value={
        "id": 17,
        "name": "dashboard",
        "prefix": "swy_q3fB9x0a",
        "scopes": ["view"],
        "created_at": "2026-06-01T08:30:00Z",
        "expires_at": "2027-01-01T00:00:00Z",
        "last_used_at": None,
        "revoked_at": None,
        "token": "swy_q3fB9x0a…",
    },
    response_only=True,
)


class ServiceAccountsView(ApiGenericView):
    """Programs that act for a team."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    queryset = ServiceAccount.objects.select_related("team", "responsible")
    serializer_class = ServiceAccountSerializer

    @extend_schema(
        operation_id="service_accounts_list",
        tags=TAGS,
        responses=ServiceAccountSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """Every program, the newest first."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(ServiceAccountSerializer(page, many=True).data)

    @extend_schema(
        operation_id="service_accounts_create",
        tags=TAGS,
        request=ServiceAccountInput,
        responses={201: ServiceAccountSerializer},
        examples=[NEW_ACCOUNT],
    )
    def post(self, request: Request) -> Response:
        """Add a program, with the human who answers for it."""
        data = validated(ServiceAccountInput(data=request.data))
        account = services.create_service_account(
            actor=self.principal,
            name=data["name"],
            team=selectors.get_team(data["team"]),
            role=Role(data["role"]),
            responsible=selectors.get_user(data["responsible"]),
            endpoints=data["endpoints"],
            requests_per_second=data["requests_per_second"],
        )
        return Response(ServiceAccountSerializer(account).data, status=status.HTTP_201_CREATED)


class ServiceAccountView(ApiView):
    """One program."""

    permissions = {"GET": Permission.VIEW}

    @extend_schema(
        operation_id="service_accounts_read", tags=TAGS, responses=ServiceAccountSerializer
    )
    def get(self, request: Request, name: str) -> Response:
        """A program, its human and its limits."""
        return Response(ServiceAccountSerializer(selectors.get_service_account(name)).data)


class ServiceAccountDisableView(ApiView):
    """Stop a program."""

    permissions = {"POST": Permission.ADMINISTER}

    @extend_schema(
        operation_id="service_accounts_disable",
        tags=TAGS,
        request=ReasonInput,
        responses=ServiceAccountSerializer,
    )
    def post(self, request: Request, name: str) -> Response:
        """None of its tokens works until it is enabled again."""
        data = validated(ReasonInput(data=request.data))
        account = selectors.get_service_account(name)
        services.disable_service_account(
            actor=self.principal, account=account, reason=data["reason"]
        )
        return Response(ServiceAccountSerializer(account).data)


class ServiceAccountEnableView(ApiView):
    """Let a stopped program go on."""

    permissions = {"POST": Permission.ADMINISTER}

    @extend_schema(
        operation_id="service_accounts_enable",
        tags=TAGS,
        request=ReasonInput,
        responses=ServiceAccountSerializer,
    )
    def post(self, request: Request, name: str) -> Response:
        """Its tokens work again until they expire."""
        data = validated(ReasonInput(data=request.data))
        account = selectors.get_service_account(name)
        services.enable_service_account(
            actor=self.principal, account=account, reason=data["reason"]
        )
        return Response(ServiceAccountSerializer(account).data)


class ServiceAccountTokensView(ApiGenericView):
    """Tokens of a program."""

    # The human who answers for a program needs no role in its team: the service decides.
    permissions = {"GET": Permission.VIEW, "POST": Permission.VIEW}
    keeps_answers = False
    queryset = Token.objects.all()
    serializer_class = TokenSerializer

    @extend_schema(
        operation_id="service_account_tokens_list",
        tags=TAGS,
        responses=TokenSerializer(many=True),
    )
    def get(self, request: Request, name: str) -> Response:
        """A program's tokens, revoked ones too."""
        tokens = self.get_queryset().filter(service_account=selectors.get_service_account(name))
        page = self.paginate_queryset(tokens)
        return self.get_paginated_response(TokenSerializer(page, many=True).data)

    @extend_schema(
        operation_id="service_account_tokens_issue",
        tags=TAGS,
        request=TokenInput,
        responses={201: IssuedTokenSerializer},
        examples=[NEW_TOKEN, ISSUED],
    )
    def post(self, request: Request, name: str) -> Response:
        """Issue a token; its text is in this answer and nowhere else."""
        data = validated(TokenInput(data=request.data))
        account = selectors.get_service_account(name)
        return _issued(services.issue_token(actor=self.principal, owner=account, **data))


class MyTokensView(ApiGenericView):
    """Tokens of whoever asks."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.VIEW}
    keeps_answers = False
    queryset = Token.objects.all()
    serializer_class = TokenSerializer

    @extend_schema(operation_id="my_tokens_list", tags=TAGS, responses=TokenSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The tokens that speak for you, revoked ones too."""
        page = self.paginate_queryset(self.get_queryset().filter(user=self._me()))
        return self.get_paginated_response(TokenSerializer(page, many=True).data)

    @extend_schema(
        operation_id="my_tokens_issue",
        tags=TAGS,
        request=TokenInput,
        responses={201: IssuedTokenSerializer},
        examples=[NEW_TOKEN, ISSUED],
    )
    def post(self, request: Request) -> Response:
        """Issue a token that speaks for you; its text is in this answer and nowhere else."""
        data = validated(TokenInput(data=request.data))
        return _issued(services.issue_token(actor=self.principal, owner=self._me(), **data))

    def _me(self) -> User:
        user = User.objects.filter(pk=self.principal.user_id or 0).first()
        if user is None:
            raise PermissionDenied("a program's tokens are under /service-accounts")
        return user


class TokenView(ApiView):
    """One token."""

    permissions = {"DELETE": Permission.VIEW}

    @extend_schema(
        operation_id="tokens_revoke", tags=TAGS, request=ReasonInput, responses={204: None}
    )
    def delete(self, request: Request, pk: int) -> Response:
        """End a token at once; `reason` is optional here, as a body of DELETE may get lost."""
        reason = str(request.data.get("reason", "")) if isinstance(request.data, dict) else ""
        services.revoke_token(
            actor=self.principal, token=selectors.get_token(pk), reason=reason[:2000]
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class TokenRotateView(ApiView):
    """Replace a token."""

    permissions = {"POST": Permission.VIEW}
    keeps_answers = False

    @extend_schema(
        operation_id="tokens_rotate",
        tags=TAGS,
        request=RotationInput,
        responses={201: IssuedTokenSerializer},
        examples=[ROTATION, ISSUED],
    )
    def post(self, request: Request, pk: int) -> Response:
        """A new token of the same owner, name and scopes; the old one ends after `overlap_s`."""
        data = validated(RotationInput(data=request.data))
        return _issued(
            services.rotate_token(
                actor=self.principal,
                token=selectors.get_token(pk),
                expires_at=data["expires_at"],
                overlap=timedelta(seconds=data.get("overlap_s", 0)),
                reason=data["reason"],
            )
        )


def _issued(issued: tuple[Token, str]) -> Response:
    token, text = issued
    body = {**TokenSerializer(token).data, "token": text}
    return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})
