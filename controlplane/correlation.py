"""One id that follows a request through logs, events and answers."""

import re
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

HEADER = "X-Request-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def correlation_id_of(request: HttpRequest) -> str:
    """The caller's own id when it is a harmless one, else a new one."""
    given = request.headers.get(HEADER, "")
    return given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex


@sync_and_async_middleware
def correlation(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Bind `correlation_id` for logs and events, and send it back as X-Request-ID."""

    def begin(request: HttpRequest) -> str:
        found = correlation_id_of(request)
        request.correlation_id = found  # type: ignore[attr-defined]  # for templates and handlers
        return found

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponse:
            found = begin(request)
            with structlog.contextvars.bound_contextvars(correlation_id=found):
                response: HttpResponse = await get_response(request)
            response.headers[HEADER] = found
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponse:
        found = begin(request)
        with structlog.contextvars.bound_contextvars(correlation_id=found):
            response: HttpResponse = get_response(request)
        response.headers[HEADER] = found
        return response

    return synchronous
