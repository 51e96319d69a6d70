"""REST callers."""

import pytest
from rest_framework.test import APIClient

from apps.accounts.access import Principal
from tests.routing.conftest import Caller, calling
from tests.routing.factories import operator

__all__ = ["Caller", "Principal", "api", "calling"]


@pytest.fixture
def api(calling: Caller, db: None) -> APIClient:  # the fixture imported above
    """A REST client of an operator."""
    return calling(operator())
