"""Lists and pages make the same number of queries however much they show."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from apps.accounts.access import Role
from apps.accounts.models import User
from apps.events import chain
from tests.accounts import factories
from tests.architecture.crowd import Crowd
from tests.architecture.queries import query_baseline

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return factories.user(Role.ADMIN)


@pytest.fixture
def rows() -> Callable[[], None]:
    """Makes some rows of every kind of this floor."""

    def make() -> None:
        for _ in range(3):
            factories.token(factories.service_account())
        chain.append_committed()

    return make


@pytest.mark.parametrize(
    "path", ["events", "users", "teams", "teams/flights/members", "service-accounts"]
)
def test_api_list__rows_doubled__same_number_of_queries(
    client: Client, admin: User, rows: Callable[[], None], path: str
) -> None:
    headers = {"Authorization": f"Bearer {factories.token(admin)[1]}"}
    client.get(f"/api/v1/{path}", headers=headers)  # notes the token's first use
    for _ in range(2):
        rows()
        with query_baseline(f"GET /api/v1/{path}"):
            assert client.get(f"/api/v1/{path}", headers=headers).status_code == 200


def test_audit_page__rows_doubled__same_number_of_queries(
    client: Client, admin: User, rows: Callable[[], None]
) -> None:
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    for _ in range(2):
        rows()
        with query_baseline("page audit"):
            assert client.get("/audit/").status_code == 200


@pytest.mark.parametrize(
    "page", ["teams/", "teams/flights/", "people/", "people/one/", "service-accounts/",
             "service-accounts/ours/", "security/"],
)  # fmt: skip
def test_page_of_accounts__rows_doubled__same_number_of_queries(
    client: Client, rows: Callable[[], None], page: str
) -> None:
    one = factories.user(Role.ADMIN, username="one")
    ours = factories.service_account(name="ours")
    client.force_login(one, backend="django.contrib.auth.backends.ModelBackend")
    for _ in range(2):
        rows()
        factories.token(ours)
        factories.token(one)
        with query_baseline(f"page {page}"):
            assert client.get(f"/{page}").status_code == 200


def named(path: str) -> str:
    """What a baseline is kept under: ids and generations differ from run to run."""
    ids = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "{id}", path)
    return re.sub(r"generations/\d+", "generations/{number}", ids)


def test_pages_and_lists__thirty_times_the_rows__same_number_of_queries(
    client: Client, admin: User
) -> None:
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    crowd = Crowd()
    for more in (1, 29):
        crowd.add(more)
        for path in [*crowd.pages(), *crowd.resources()]:
            with query_baseline(f"GET {named(path)}"):
                assert client.get(path).status_code == 200, path
