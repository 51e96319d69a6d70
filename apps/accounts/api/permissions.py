"""What a REST route asks for, decided before its view runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apps.accounts.access import Permission, Principal, authorise_anywhere
from apps.accounts.errors import NotSignedIn

if TYPE_CHECKING:  # the views import this module while they are being defined
    from rest_framework.views import APIView


class RoutePermission(BasePermission):
    """Each view says in `permissions` what each of its methods asks for; silence is a refusal."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the principal holds the route's permission in some team."""
        if not isinstance(request.auth, Principal):
            raise NotSignedIn("send a bearer token, or sign in")
        permissions: Mapping[str, Permission] = getattr(view, "permissions", {})
        method = {"HEAD": "GET", "OPTIONS": "GET"}.get(request.method or "", request.method or "")
        permission = permissions.get(method)
        if not hasattr(view, method.lower()):
            raise MethodNotAllowed(request.method or "")
        if permission is None:
            return False
        authorise_anywhere(request.auth, permission)
        return True
