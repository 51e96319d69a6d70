"""What a request gets that no view answered: JSON problems for programs, pages for people."""

from http import HTTPStatus
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import defaults

from apps.events.errors import DomainError
from controlplane.problems import MEDIA_TYPE

API = ("/api/", "/v1/")


class PageErrors(MiddlewareMixin):
    """Renders a DomainError that a page's view raised; REST views never let one out."""

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """The error's page with its status; whoever must sign in is sent there."""
        if not isinstance(exception, DomainError):
            return None
        if for_program(request):
            return problem(exception.status, exception.title, exception.detail, exception.code)
        if exception.status == HTTPStatus.UNAUTHORIZED:
            return to_sign_in(request)
        context = {
            "title": exception.title,
            "detail": exception.detail,
            "field": exception.field or "",
            "back": _came_from(request),
            "status": exception.status,
            "code": exception.code,
            "correlation_id": getattr(request, "correlation_id", ""),
        }
        return render(request, "errors/problem.html", context, status=exception.status)


def for_program(request: HttpRequest) -> bool:
    """Whether a program asks: it gets JSON."""
    return request.path.startswith(API)


def problem(status: int, title: str, detail: str, code: str) -> HttpResponse:
    """A problem detail outside REST framework."""
    body = {
        "type": f"urn:switchyard:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400: the request itself could not be read."""
    if for_program(request):
        return problem(400, "Bad request", "the request could not be read", "bad-request")
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """403 from Django itself."""
    if for_program(request):
        return problem(403, "Not allowed", str(exception) or "not allowed", "forbidden")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404: no such address."""
    if for_program(request):
        return problem(404, "Not found", f"there is nothing at {request.path}", "not-found")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500: our fault; the id finds it in the logs."""
    if for_program(request):
        found = getattr(request, "correlation_id", "")
        detail = f"something broke on our side; the logs know it as {found}"
        return problem(500, "Server error", detail, "server-error")
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """403 for a form without its token: most often a page that was open for too long."""
    context = {
        "title": "This form is out of date",
        "detail": "Go back, load the page again and repeat what you did.",
        "status": HTTPStatus.FORBIDDEN.value,
        "code": "csrf",
    }
    return render(request, "errors/problem.html", context, status=HTTPStatus.FORBIDDEN)


def _came_from(request: HttpRequest) -> str:
    """The page whose form was refused, if it was one of ours; "" otherwise."""
    page = request.headers.get("Referer", "") if request.method == "POST" else ""
    ours = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=False)
    return page if ours else ""


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page, and back here afterwards."""
    query = urlencode({"next": request.get_full_path()})
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?{query}")
