"""What MLflow's clients are told when something is refused: an error code, a message, a status."""

from http import HTTPStatus

from rest_framework import exceptions

from apps.accounts.errors import NotSignedIn
from apps.events.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable
from apps.registry.errors import AlreadyExists, ModelNotFound, VersionNotFound


class Refusal(Exception):
    """An answer that is an error; `code` is one of MLflow's."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUSES[code] if status is None else status


# A conflict is 409, which clients give up on; INVALID_STATE would be 500, which they try again.
STATUSES = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "TEMPORARILY_UNAVAILABLE": 503,
}
CODES: tuple[tuple[type[DomainError], str], ...] = (
    (AlreadyExists, "RESOURCE_ALREADY_EXISTS"),
    (NotSignedIn, "UNAUTHENTICATED"),
    (ModelNotFound, "RESOURCE_DOES_NOT_EXIST"),
    (VersionNotFound, "RESOURCE_DOES_NOT_EXIST"),
    (NotFound, "RESOURCE_DOES_NOT_EXIST"),
    (Forbidden, "PERMISSION_DENIED"),
    (Invalid, "INVALID_PARAMETER_VALUE"),
    (Conflict, "RESOURCE_CONFLICT"),
    (Unavailable, "TEMPORARILY_UNAVAILABLE"),
)
BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "ENDPOINT_NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "REQUEST_LIMIT_EXCEEDED",
}


def invalid(message: str) -> Refusal:
    """INVALID_PARAMETER_VALUE."""
    return Refusal("INVALID_PARAMETER_VALUE", message)


def refusal_of(error: Exception) -> Refusal | None:
    """What to answer to an error of a view; None for what is no refusal but a fault of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DomainError):
        return _of_domain(error)
    if isinstance(error, exceptions.APIException):
        code = BY_STATUS.get(HTTPStatus(error.status_code), "BAD_REQUEST")
        return Refusal(code, str(error.detail), error.status_code)
    return None


def _of_domain(error: DomainError) -> Refusal:
    code = next((code for kind, code in CODES if isinstance(error, kind)), "BAD_REQUEST")
    named = f"Invalid value for parameter '{error.field}': {error.detail}"
    said = named if error.field and code == "INVALID_PARAMETER_VALUE" else error.detail
    return Refusal(code, said)
