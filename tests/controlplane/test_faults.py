"""What requests get that no view answers."""

import pytest
from django.http import HttpRequest
from django.test import Client, RequestFactory

from apps.accounts.errors import NotSignedIn, PermissionDenied
from controlplane import faults


def request(path: str) -> HttpRequest:
    return RequestFactory().get(path)


def page_errors() -> faults.PageErrors:
    return faults.PageErrors(lambda _request: None)  # type: ignore[arg-type]  # never called


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/v1/nothing"])
def test_unknown_address__of_the_api__404_problem(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == f"there is nothing at {path}"


def test_unknown_address__of_a_page__404_page(client: Client) -> None:
    answer = client.get("/nothing/")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


def test_server_error__in_the_api__says_how_to_find_it() -> None:
    asked = request("/api/v1/x")
    asked.correlation_id = "abc"  # type: ignore[attr-defined]  # set by the middleware
    answer = faults.server_error(asked)
    assert answer.status_code == 500
    assert b"abc" in answer.getvalue()


def test_page_error__refusal__page_with_status_and_reason() -> None:
    answer = page_errors().process_exception(request("/models/"), PermissionDenied("not yours"))
    assert answer is not None
    assert answer.status_code == 403
    assert b"not yours" in answer.getvalue()


def test_page_error__not_signed_in__goes_there_and_comes_back() -> None:
    answer = page_errors().process_exception(request("/models/?a=1"), NotSignedIn("sign in"))
    assert answer is not None
    assert answer["Location"] == "/sign-in/?next=%2Fmodels%2F%3Fa%3D1"


def test_page_error__anything_else__left_to_django() -> None:
    assert page_errors().process_exception(request("/models/"), ValueError("x")) is None


def test_csrf_failure__page_that_says_what_to_do() -> None:
    answer = faults.csrf_failure(request("/sign-in/"))
    assert answer.status_code == 403
    assert b"load the page again" in answer.getvalue()


def test_request_id__harmless__kept(client: Client) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": "abc-123"})
    assert answer["X-Request-ID"] == "abc-123"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>"])
def test_request_id__missing_or_odd__replaced(client: Client, given: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-ID": given})
    assert answer["X-Request-ID"] != given
    assert len(answer["X-Request-ID"]) == 32
