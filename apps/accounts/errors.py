"""What this app refuses."""

from apps.events.errors import DomainError, Forbidden


class PermissionDenied(Forbidden):
    """The principal's roles, or its token's scopes, do not allow this."""

    code = "permission-denied"


class NotSignedIn(DomainError):
    """No credentials, or credentials that are wrong, expired or revoked."""

    code = "not-signed-in"
    title = "Sign in"
    status = 401
