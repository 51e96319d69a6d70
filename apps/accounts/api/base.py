"""What every REST view stands on."""

from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.accounts.access import Permission, Principal
from apps.accounts.errors import NotSignedIn


def _principal(request: Request) -> Principal:
    if not isinstance(request.auth, Principal):
        raise NotSignedIn("send a bearer token, or sign in")
    return request.auth


class ApiView(APIView):
    """A REST view; set `permissions = {"GET": Permission.VIEW, …}`."""

    permissions: ClassVar[Mapping[str, Permission]] = {}

    @property
    def principal(self) -> Principal:
        """Whoever makes this request."""
        return _principal(self.request)


class ApiGenericView(GenericAPIView[Any]):
    """A REST view over a queryset, with pages and filters; set `permissions` likewise."""

    permissions: ClassVar[Mapping[str, Permission]] = {}

    @property
    def principal(self) -> Principal:
        """Whoever makes this request."""
        return _principal(self.request)
