"""Recording events."""

import psycopg
import pytest
from django.db import connection, transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from apps.events.services import record
from tests.events.conftest import SomeActor


def some_event() -> None:
    record(actor=SomeActor(), verb="thing.done", object_key="thing:1")


@pytest.mark.django_db
def test_record__many_in_one_transaction__wake_the_relay_once(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        for _ in range(5):
            some_event()
    assert len(callbacks) == 1


@pytest.mark.django_db
def test_record__first_in_a_savepoint_rolled_back__relay_is_woken_all_the_same(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        with transaction.atomic():
            some_event()
            transaction.set_rollback(True)
        some_event()
    assert len(callbacks) == 1


@pytest.mark.django_db(transaction=True)
def test_record__committed__whoever_listens_hears() -> None:
    parameters = connection.get_connection_params()
    known = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port")}
    with psycopg.connect(**known, autocommit=True) as listener:
        listener.execute("LISTEN switchyard_events")
        with transaction.atomic():
            some_event()
        heard = list(listener.notifies(timeout=5, stop_after=1))
    assert len(heard) == 1
