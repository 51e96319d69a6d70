"""REST callers."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from apps.accounts.access import Principal, Role
from tests.registry.factories import person

Caller = Callable[[Principal], APIClient]


@pytest.fixture
def calling() -> Caller:
    """A REST client that acts as somebody."""

    def made(principal: Principal) -> APIClient:
        client = APIClient()
        client.force_authenticate(user=None, token=principal)  # type: ignore[arg-type]  # request.auth
        return client

    return made


@pytest.fixture
def api(calling: Caller, db: None) -> APIClient:
    """A REST client of an operator."""
    return calling(person("olga", Role.OPERATOR))
