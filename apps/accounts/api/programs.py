"""REST: service accounts and tokens."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.accounts import services
from apps.accounts.access import Permission
from apps.accounts.api.base import (
    REASON,
    Action,
    ApiView,
    ListView,
    ReasonInput,
    reason_of,
    validated,
)
from apps.accounts.api.serializers import (
    LIMITS,
    ClientLimitsChange,
    HandOverInput,
    IssuedTokenSerializer,
    RotationInput,
    ServiceAccountInput,
    ServiceAccountSerializer,
    TokenInput,
    TokenSerializer,
)
from apps.accounts.errors import PermissionDenied
from apps.accounts.models import ServiceAccount, Token, User
from apps.accounts.selectors import get_service_account, get_team, get_token, get_user
from apps.accounts.services import ClientLimits
from apps.accounts.step_up import require_fresh

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
        "burst": 400,
        "tier": "gold",
        "budget": 0.5,
    },
    request_only=True,
)
LESS = OpenApiExample(
    "Fewer requests, larger bursts",
    value={"requests_per_second": 50, "burst": 500, "reason": "their batch job starts at noon"},
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
HAND_OVER = OpenApiExample(
    "Somebody else takes over",
    value={"responsible": "operator", "reason": "Sofia changes teams"},
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


class ServiceAccountsView(Action, ListView):
    """Every program, the newest first."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    operations = {"GET": "service_accounts_list", "POST": "service_accounts_create"}
    tags = TAGS
    queryset = ServiceAccount.objects.select_related("team", "responsible")
    serializer_class = shows = ServiceAccountSerializer
    takes = ServiceAccountInput
    status = 201
    examples = (NEW_ACCOUNT,)

    def act(self, given: dict[str, Any], **_: Any) -> ServiceAccount:
        """Add a program, with the human who answers for it."""
        return services.create_service_account(
            actor=self.principal,
            name=given["name"],
            team=get_team(given["team"]),
            role=given["role"],
            responsible=get_user(given["responsible"]),
            limits=_limits(given),
        )


class ServiceAccountView(ApiView):
    """One program."""

    permissions = {"GET": Permission.VIEW, "PATCH": Permission.ADMINISTER}

    @extend_schema(
        operation_id="service_accounts_read", tags=TAGS, responses=ServiceAccountSerializer
    )
    def get(self, request: Request, name: str) -> Response:
        """A program, its human and its limits."""
        return Response(ServiceAccountSerializer(get_service_account(name)).data)

    @extend_schema(
        operation_id="service_accounts_limit",
        tags=TAGS,
        request=ClientLimitsChange,
        responses=ServiceAccountSerializer,
        examples=[LESS],
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change what a client may; gateways hear of it within a second."""
        given = validated(ClientLimitsChange(data=request.data))
        account = get_service_account(name)
        changed = services.limit_service_account(
            actor=self.principal,
            account=account,
            limits=_limits(given, account),
            reason=given["reason"],
        )
        return Response(ServiceAccountSerializer(changed).data)


class ServiceAccountSwitch(Action):
    """Stops a program, or lets it go on."""

    permissions = {"POST": Permission.ADMINISTER}
    tags = TAGS
    shows = ServiceAccountSerializer
    service: ClassVar[Callable[..., None]]

    def act(self, given: dict[str, Any], **path: Any) -> ServiceAccount:
        account = get_service_account(path["name"])
        type(self).service(actor=self.principal, account=account, **given)
        return account


class ServiceAccountDisableView(ServiceAccountSwitch):
    """None of its tokens works until it is enabled again."""

    operations = {"POST": "service_accounts_disable"}
    service = staticmethod(services.disable_service_account)


class ServiceAccountEnableView(ServiceAccountSwitch):
    """Its tokens work again until they expire."""

    operations = {"POST": "service_accounts_enable"}
    service = staticmethod(services.enable_service_account)


class ServiceAccountHandOverView(Action):
    """Let another human answer for a program; one that was orphaned is so no longer."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "service_accounts_hand_over"}
    tags = TAGS
    takes = HandOverInput
    shows = ServiceAccountSerializer
    examples = (HAND_OVER,)

    def act(self, given: dict[str, Any], **path: Any) -> ServiceAccount:
        return services.hand_over_service_account(
            actor=self.principal,
            account=get_service_account(path["name"]),
            responsible=get_user(given["responsible"]),
            reason=given["reason"],
        )


class Issue(Action):
    """Answers with a new token and its text, which is in this answer and nowhere else."""

    keeps_answers = False
    tags = TAGS
    takes: ClassVar[type[BaseSerializer[Any]]] = TokenInput
    shows = IssuedTokenSerializer
    status = 201
    examples = (NEW_TOKEN, ISSUED)

    def post(self, request: Request, **path: Any) -> Response:
        """Issue it, in a session after a fresh proof; nobody on the way may keep the answer."""
        if isinstance(request.user, User):
            require_fresh(request._request)
        answer = super().post(request, **path)
        answer["Cache-Control"] = "no-store"
        return answer


class ServiceAccountTokensView(Issue, ListView):
    """A program's tokens, revoked ones too."""

    # The human who answers for a program needs no role in its team: the service decides.
    permissions = {"GET": Permission.VIEW, "POST": Permission.VIEW}
    operations = {"GET": "service_account_tokens_list", "POST": "service_account_tokens_issue"}
    queryset = Token.objects.all()
    serializer_class = TokenSerializer

    def get_queryset(self) -> QuerySet[Token]:
        """Tokens of the program in the path."""
        rows = super().get_queryset()
        if self.is_described:
            return rows
        return rows.filter(service_account=get_service_account(self.kwargs["name"]))

    def act(self, given: dict[str, Any], **path: Any) -> dict[str, Any]:
        """Issue a token; its text is in this answer and nowhere else."""
        account = get_service_account(path["name"])
        return _issued(services.issue_token(actor=self.principal, owner=account, **given))


class MyTokensView(Issue, ListView):
    """The tokens that speak for you, revoked ones too."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.VIEW}
    operations = {"GET": "my_tokens_list", "POST": "my_tokens_issue"}
    queryset = Token.objects.all()
    serializer_class = TokenSerializer

    def get_queryset(self) -> QuerySet[Token]:
        """Tokens of whoever asks."""
        rows = super().get_queryset()
        return rows if self.is_described else rows.filter(user=self._me())

    def act(self, given: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Issue a token that speaks for you; its text is in this answer and nowhere else."""
        return _issued(services.issue_token(actor=self.principal, owner=self._me(), **given))

    def _me(self) -> User:
        user = User.objects.filter(pk=self.principal.user_id or 0).first()
        if user is None:
            raise PermissionDenied("a program's tokens are under /service-accounts")
        return user


class TokenView(ApiView):
    """One token."""

    permissions = {"DELETE": Permission.VIEW}

    @extend_schema(
        operation_id="tokens_revoke",
        tags=TAGS,
        request=ReasonInput,
        parameters=[REASON],
        responses={204: None},
    )
    def delete(self, request: Request, pk: int) -> Response:
        """End a token at once, with a reason."""
        services.revoke_token(actor=self.principal, token=get_token(pk), reason=reason_of(request))
        return Response(status=204)


class TokenRotateView(Issue):
    """A new token of the same owner, name and scopes; the old one ends after `overlap_s`."""

    permissions = {"POST": Permission.VIEW}
    operations = {"POST": "tokens_rotate"}
    takes = RotationInput
    examples = (ROTATION, ISSUED)

    def act(self, given: dict[str, Any], **path: Any) -> dict[str, Any]:
        overlap = timedelta(seconds=given.pop("overlap_s", 0))
        token = get_token(path["pk"])
        return _issued(
            services.rotate_token(actor=self.principal, token=token, overlap=overlap, **given)
        )


def _limits(data: dict[str, Any], account: ServiceAccount | None = None) -> ClientLimits:
    """The limits that were given; those that were not stay as the account has them."""
    given = {name: data[name] for name in LIMITS if name in data}
    kept = {name: getattr(account, name) for name in LIMITS} if account else {}
    limits = {**kept, **given}
    return ClientLimits(**{**limits, "endpoints": tuple(limits.get("endpoints", ()))})


def _issued(issued: tuple[Token, str]) -> dict[str, Any]:
    token, text = issued
    return {**TokenSerializer(token).data, "token": text}
