"""Who makes a REST request: a bearer token, or the page's own session."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, CSRFCheck
from rest_framework.request import Request

from apps.accounts.access import Principal
from apps.accounts.errors import PermissionDenied
from apps.accounts.models import User
from apps.accounts.principals import of_token, of_user


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer swy_…`; the principal is `request.auth`."""

    def authenticate(self, request: Request) -> tuple[None, Principal] | None:
        """Return the token's principal, or None when there is no bearer token."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return (None, of_token(text.strip(), now=timezone.now()))

    def authenticate_header(self, request: Request) -> str:
        """Makes a missing credential a 401."""
        return 'Bearer realm="switchyard"'


class SessionAuthentication(BaseAuthentication):
    """The page's own session, with Django's CSRF check on every unsafe method."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """Return the signed-in person, or None."""
        user = getattr(request._request, "user", None)
        if not isinstance(user, User) or not user.is_active:
            return None
        self._enforce_csrf(request._request)
        return (user, of_user(user))

    def _enforce_csrf(self, request: HttpRequest) -> None:
        check = CSRFCheck(lambda _request: HttpResponse())
        check.process_request(request)
        reason = check.process_view(request, lambda _request: HttpResponse(), (), {})
        if reason:
            raise PermissionDenied(f"CSRF check failed: {reason}")
