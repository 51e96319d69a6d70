"""Lists make the same number of queries however long they are."""

from collections.abc import Callable

import pytest
from django.test import Client

from apps.accounts.access import Role
from apps.accounts.models import User
from apps.events import chain
from tests.accounts import factories
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
