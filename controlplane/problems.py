"""Every REST error as an RFC 9457 problem detail."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from apps.events.errors import DomainError, Forbidden, NotFound

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"


class TooLarge(DomainError):
    """More bytes than a request may have."""

    code = "too-large"
    title = "Body too large"
    status = 413


def problem(
    *, status: int, title: str, detail: str, code: str, errors: list[dict[str, str]] | None = None
) -> Response:
    """A problem detail; `errors` are `{"path": "$.field", "detail": …}`, one a fault."""
    body: dict[str, object] = {
        "type": f"urn:switchyard:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return Response(body, status=status, content_type=MEDIA_TYPE)


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. Unknown exceptions stay exceptions: a 500, logged by Django."""
    if isinstance(error, Http404):
        error = NotFound(str(error) or "no such object")
    if isinstance(error, DjangoPermissionDenied):
        error = Forbidden(str(error) or "not allowed")
    if isinstance(error, RequestDataTooBig):
        error = TooLarge("the body is larger than this address takes")
    if isinstance(error, DomainError):
        return _of_domain(error)
    if isinstance(error, exceptions.ValidationError):
        return _of_validation(error)
    return _of_api(error) if isinstance(error, exceptions.APIException) else None


def _of_domain(error: DomainError) -> Response:
    faults = [{"path": f"$.{path}", "detail": detail} for path, detail in error.faults]
    response = problem(
        status=error.status,
        title=error.title,
        detail=error.detail,
        code=error.code,
        errors=faults or None,
    )
    if error.status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="switchyard"'
    return response


def _of_validation(error: exceptions.ValidationError) -> Response:
    faults = [{"path": path, "detail": text} for path, text in _faults("$", error.detail)]
    first = faults[0] if faults else {"path": "$", "detail": "invalid"}
    return problem(
        status=HTTPStatus.BAD_REQUEST,
        title="Invalid input",
        detail=f"{first['path']}: {first['detail']}",
        code="invalid",
        errors=faults,
    )


def _of_api(error: exceptions.APIException) -> Response:
    response = problem(
        status=error.status_code,
        title=HTTPStatus(error.status_code).phrase,
        detail=str(error.detail),
        code=str(error.get_codes()).replace("_", "-"),
    )
    wait = getattr(error, "wait", None)
    if wait:
        response["Retry-After"] = str(int(wait))
    return response


def _faults(path: str, detail: object) -> Iterator[tuple[str, str]]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            # DRF names the faulty items of a list by their numbers.
            step = f"[{name}]" if isinstance(name, int) else f".{name}"
            yield from _faults(path if name == "non_field_errors" else f"{path}{step}", inner)
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _faults(f"{path}[{number}]" if nested else path, inner)
    else:
        yield path, str(detail)
