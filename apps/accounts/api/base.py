"""What every REST view stands on."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, CharField, Serializer, ValidationError

from apps.accounts.access import Permission, Principal
from apps.accounts.api.idempotency import IdempotentPosts
from apps.accounts.api.openapi import ActionSchema
from apps.accounts.errors import NotSignedIn

REASON_LENGTH = 2_000
Permissions = Mapping[str, Permission]
REASON = OpenApiParameter("reason", str, description="why, for clients whose DELETE has no body")


class ApiView(IdempotentPosts):
    """A REST view; set `permissions = {"GET": Permission.VIEW, …}`.

    `operations` names operations of the OpenAPI document, by method, where the names made of
    their paths will not do; `tags` are what they stand under there.
    """

    permissions: ClassVar[Permissions] = {}
    operations: ClassVar[Mapping[str, str]] = {}
    tags: ClassVar[Sequence[str]] = ()

    @property
    def principal(self) -> Principal:
        """Whoever makes this request."""
        if not isinstance(self.request.auth, Principal):
            raise NotSignedIn("send a bearer token, or sign in")
        return self.request.auth


class ApiGenericView(ApiView, GenericAPIView[Any]):
    """A REST view over a queryset, with pages and filters."""


class ListView(ListAPIView[Any], ApiGenericView):
    """A list with filters, in pages by position."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @property
    def is_described(self) -> bool:
        """Whether the OpenAPI document is being made: there is nothing in the path then."""
        return bool(getattr(self, "swagger_fake_view", False))


class StrictSerializer(Serializer[Any]):
    """Input in which a field that nobody knows is a fault, not a typo that passes."""

    def to_internal_value(self, data: Any) -> Any:
        """Read the fields. Raises ValidationError, naming every one that is unknown."""
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else set()
        if unknown:
            raise ValidationError({name: ["unknown field"] for name in sorted(unknown)})
        return super().to_internal_value(data)


class ReasonField(CharField):
    """Why: what a colleague would ask later. Required wherever it stands, and more than spaces."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=REASON_LENGTH, **options)


class ReasonInput(StrictSerializer):
    """A reason, and nothing else."""

    reason = ReasonField()


class Action(ApiView):
    """A POST that reads its input, makes one service call and shows what came of it.

    A view names what it `takes` and `shows` and writes `act`; the OpenAPI document is made from
    the same, with the view's docstring as the operation's description.
    """

    schema = ActionSchema()
    takes: ClassVar[type[BaseSerializer[Any]]] = ReasonInput
    shows: ClassVar[type[BaseSerializer[Any]]]
    status: ClassVar[int] = 200
    examples: ClassVar[Sequence[OpenApiExample]] = ()

    def post(self, request: Request, **path: Any) -> Response:
        """Act on what the path names."""
        given = validated(self.takes(data=request.data))
        return Response(self.shows(self.act(given, **path)).data, status=self.status)

    def act(self, given: dict[str, Any], **path: Any) -> object:
        """Make the service call; `path` is from the address. Returns what is shown."""
        raise NotImplementedError


def validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """What a request's serializer read. Raises rest_framework's ValidationError."""
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data


def reason_of(request: Request) -> str:
    """Why, of a DELETE: in its body or, as some clients send none, as `?reason=`."""
    body = request.data if isinstance(request.data, dict) else {}
    given = {"reason": body.get("reason", request.query_params.get("reason", ""))}
    return str(validated(ReasonInput(data=given))["reason"])
