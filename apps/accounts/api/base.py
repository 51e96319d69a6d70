"""What every REST view stands on."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer, Serializer, ValidationError

from apps.accounts.access import Permission, Principal
from apps.accounts.api.idempotency import IdempotentPosts
from apps.accounts.errors import NotSignedIn


def _principal(request: Request) -> Principal:
    if not isinstance(request.auth, Principal):
        raise NotSignedIn("send a bearer token, or sign in")
    return request.auth


class ApiView(IdempotentPosts):
    """A REST view; set `permissions = {"GET": Permission.VIEW, …}`."""

    permissions: ClassVar[Mapping[str, Permission]] = {}

    @property
    def principal(self) -> Principal:
        """Whoever makes this request."""
        return _principal(self.request)


class ApiGenericView(IdempotentPosts, GenericAPIView[Any]):
    """A REST view over a queryset, with pages and filters; set `permissions` likewise."""

    permissions: ClassVar[Mapping[str, Permission]] = {}

    @property
    def principal(self) -> Principal:
        """Whoever makes this request."""
        return _principal(self.request)


class StrictSerializer(Serializer[Any]):
    """Input in which a field that nobody knows is a fault, not a typo that passes."""

    def to_internal_value(self, data: Any) -> Any:
        """Read the fields. Raises ValidationError, naming every one that is unknown."""
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else set()
        if unknown:
            raise ValidationError({name: ["unknown field"] for name in sorted(unknown)})
        return super().to_internal_value(data)


def validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """What a request's serializer read. Raises rest_framework's ValidationError."""
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data
