"""No route is open by accident: each declares what it asks for. `test_access.py` tries them."""

from http import HTTPStatus

import pytest
from django.test import Client

from apps.accounts.access import Permission
from tests.architecture.routes import PUBLIC, Route, all_routes

API = [route for route in all_routes() if route.is_api]
PAGES = [route for route in all_routes() if not route.is_api and route.name not in PUBLIC]


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


def test_api_docs__nobody_signed_in__browsers_are_sent_to_sign_in(client: Client) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    answer = client.get("/api/docs/", headers=browser)
    assert answer.status_code == HTTPStatus.FOUND
    assert answer["Location"] == "/sign-in/?next=%2Fapi%2Fdocs%2F"
    program = client.get("/api/docs/", headers={"Accept": "*/*"})
    assert program.status_code == HTTPStatus.UNAUTHORIZED
    assert program["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.name)
def test_page__each__declares_a_permission(route: Route) -> None:
    assert Permission(route.callback.permission)
