"""What was routed stays known."""

import pytest
from django.db import IntegrityError, connection, transaction

from apps.routing.models import Generation, Spec
from tests.routing.factories import deployed, make_endpoint, route, stable

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("table", ["generation", "spec"])
@pytest.mark.parametrize("statement", ["DELETE FROM routing_{}", "TRUNCATE routing_{} CASCADE"])
def test_archive__rows_removed__refused(table: str, statement: str) -> None:
    route(make_endpoint(), stable(deployed(1)))
    connection.check_constraints()  # TRUNCATE wants no deferred ones
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement.format(table))
    assert (Generation.objects.count(), Spec.objects.count()) == (1, 1)


def test_archive__generation_rewritten__refused() -> None:
    route(make_endpoint(), stable(deployed(1)))
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Generation.objects.update(reason="another story")
