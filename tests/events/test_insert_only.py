"""Nobody changes the log: neither the application, nor the owner of its tables."""

from collections.abc import Callable

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from apps.events import chain
from apps.events.errors import Conflict
from apps.events.models import Event
from apps.events.services import record
from tests.events.conftest import SomeActor

Connection = psycopg.Connection[tuple[object, ...]]

CHANGES = [
    "UPDATE events_event SET reason = 'x'",
    "DELETE FROM events_event",
    "TRUNCATE events_event CASCADE",
    "UPDATE event_chain SET seq = seq + 1",
    "DELETE FROM event_chain",
    "TRUNCATE event_chain CASCADE",
]


@pytest.mark.django_db
@pytest.mark.parametrize("change", CHANGES)
def test_log__change_by_owner__refused(add: Callable[..., Event], change: str) -> None:
    add()
    chain.append_committed()
    connection.check_constraints()
    with (
        pytest.raises(IntegrityError, match="insert-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change)


@pytest.mark.django_db
def test_log__orm_update_and_delete__refused(add: Callable[..., Event]) -> None:
    event = add()
    with pytest.raises(IntegrityError), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(reason="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        event.delete()


def test_log__application_role__adds_and_neither_changes_nor_disables(app_role: Connection) -> None:
    app_role.execute(
        "INSERT INTO events_event (actor_key, responsible_key, verb, object_key, team_key, reason,"
        " correlation_id) VALUES ('user:ada', '', 'a.b', 'x:1', '', '', '')"
    )
    with pytest.raises(psycopg.errors.RestrictViolation):
        app_role.execute("UPDATE events_event SET reason = 'x'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app_role.execute("ALTER TABLE events_event DISABLE TRIGGER insert_only")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app_role.execute("SET session_replication_role = replica")


@pytest.mark.django_db(transaction=True)
def test_record__outside_transaction__refused() -> None:
    with pytest.raises(Conflict):
        record(actor=SomeActor(), verb="a.b", object_key="x:1")


@pytest.mark.django_db(transaction=True)
def test_record__change_rolled_back__leaves_no_event(add: Callable[..., Event]) -> None:
    with transaction.atomic():
        add()
        transaction.set_rollback(True)
    assert not Event.objects.exists()
