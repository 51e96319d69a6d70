"""What this app refuses."""

from apps.events.errors import Conflict, DomainError, Forbidden


class PermissionDenied(Forbidden):
    """The principal's roles, or its token's scopes, do not allow this."""

    code = "permission-denied"


class NotSignedIn(DomainError):
    """No credentials, or credentials that are wrong, expired or revoked."""

    code = "not-signed-in"
    title = "Sign in"
    status = 401


class NameTaken(Conflict):
    """Somebody or something has this name already."""

    code = "name-taken"


class AlreadyDone(Conflict):
    """The token is revoked, the account disabled or the person deactivated already."""

    code = "already-done"


class SecondFactorNeeded(Forbidden):
    """The policy asks for one-time codes, and this person has not set them up."""

    code = "second-factor-needed"


class ConfirmationNeeded(Forbidden):
    """Password or code must be given once more for this."""

    code = "confirmation-needed"


class TooManyAttempts(DomainError):
    """Too many wrong codes; wait."""

    code = "too-many-attempts"
    title = "Too many attempts"
    status = 429


class LastAdministrator(Conflict):
    """Nobody would be left who administers the team."""

    code = "last-administrator"
