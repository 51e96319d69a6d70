"""No route is open by accident: every one is enumerated, nobody gets in without leave."""

from http import HTTPStatus

import pytest
from django.test import Client

from apps.accounts.access import GRANTS, Permission, Role
from tests.accounts import factories
from tests.architecture.routes import PUBLIC, Route, all_routes

API = [route for route in all_routes() if route.is_api]
PAGES = [route for route in all_routes() if not route.is_api and route.name not in PUBLIC]
HUMAN = [role for role in Role if role not in (Role.CI, Role.CLIENT)]
REFUSED = HTTPStatus.FORBIDDEN
# Routes whose service asks for more than the role, whoever comes: (name, method).
STRICTER = {("api-my-tokens", "GET"), ("api-my-tokens", "POST")}


def call(client: Client, route: Route, method: str, headers: dict[str, str]) -> int:
    answer = client.generic(
        method, route.path, "{}", content_type="application/json", headers=headers
    )
    return answer.status_code


def test_routes__each__has_a_name_of_its_own() -> None:
    names = [route.name for route in all_routes()]
    assert all(names)
    assert len(names) == len(set(names))


def test_public_list__each_entry__exists() -> None:
    assert set(PUBLIC) <= {route.name for route in all_routes()}


@pytest.mark.parametrize("route", API, ids=lambda route: route.name)
def test_api_route__each_method__declares_a_permission(route: Route) -> None:
    declared = getattr(route.view_class, "permissions", {})
    assert sorted(declared) == sorted(route.methods())
    assert all(Permission(permission) for permission in declared.values())


@pytest.mark.django_db
@pytest.mark.parametrize("route", API, ids=lambda route: route.name)
def test_api_route__without_credentials__401(client: Client, route: Route) -> None:
    for method in route.methods():
        assert call(client, route, method, {}) == HTTPStatus.UNAUTHORIZED, method


def test_api_docs__nobody_signed_in__browsers_are_sent_to_sign_in(client: Client) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    answer = client.get("/api/docs/", headers=browser)
    assert answer.status_code == HTTPStatus.FOUND
    assert answer["Location"] == "/sign-in/?next=%2Fapi%2Fdocs%2F"
    program = client.get("/api/docs/", headers={"Accept": "*/*"})
    assert program.status_code == HTTPStatus.UNAUTHORIZED
    assert program["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.name)
def test_page__nobody_signed_in__sent_to_sign_in(client: Client, route: Route) -> None:
    answers = [client.get(route.path), client.post(route.path)]
    sent = [answer for answer in answers if answer.status_code == HTTPStatus.FOUND]
    assert sent
    assert all(answer["Location"].startswith("/sign-in/?next=") for answer in sent)
    assert {answer.status_code for answer in answers} <= {
        HTTPStatus.FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
    }


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.name)
def test_page__each__declares_a_permission(route: Route) -> None:
    assert Permission(route.callback.permission)


@pytest.mark.django_db
@pytest.mark.parametrize("role", list(Role))
def test_api__role_without_the_permission__403_everywhere(client: Client, role: Role) -> None:
    headers = factories.bearer(role)
    let_in = []
    for route in API:
        for method, permission in getattr(route.view_class, "permissions", {}).items():
            if permission not in GRANTS[role]:
                status = call(client, route, method, headers)
                let_in += [(route.name, method, status)] if status != REFUSED else []
    assert let_in == []


@pytest.mark.django_db
@pytest.mark.parametrize("role", list(Role))
def test_api__role_with_the_permission__may_read(client: Client, role: Role) -> None:
    headers = factories.bearer(role)
    kept_out = []
    for route in API:
        permission = getattr(route.view_class, "permissions", {}).get("GET")
        if permission in GRANTS[role] and (route.name, "GET") not in STRICTER:
            status = call(client, route, "GET", headers)
            kept_out += [(route.name, status)] if status in (401, 403, 500) else []
    assert kept_out == []


@pytest.mark.django_db
@pytest.mark.parametrize("role", HUMAN)
def test_pages__role_without_the_permission__403_everywhere(client: Client, role: Role) -> None:
    user = factories.user(role)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    let_in = []
    for route in PAGES:
        if route.callback.permission not in GRANTS[role]:
            statuses = {client.get(route.path).status_code, client.post(route.path).status_code}
            let_in += [(route.name, statuses)] if not statuses <= {403, 405} else []
    assert let_in == []


@pytest.mark.django_db
def test_admin__nobody_signed_in__never_let_in(client: Client) -> None:
    for path in ("/admin/", "/admin/accounts/user/", "/admin/events/event/"):
        assert client.get(path).status_code == HTTPStatus.FOUND
