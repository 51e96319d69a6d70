"""The hash chain: gapless over committed events, and proof against tampering."""

import threading
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from apps.events import chain
from apps.events.models import ChainedEvent, Cursor, Event

pytestmark = pytest.mark.django_db
Add = Callable[..., Event]


def tamper(statement: str) -> None:
    """What a superuser could do: change rows with the triggers and keys out of the way."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")


def chained_verbs() -> list[str]:
    return list(ChainedEvent.objects.values_list("event__verb", flat=True))


def test_append__several_events__numbered_from_one_in_id_order(add: Add) -> None:
    for number in range(3):
        add(f"thing.done_{number}")
    assert chain.append_committed() == 3
    assert list(ChainedEvent.objects.values_list("seq", flat=True)) == [1, 2, 3]
    assert chained_verbs() == ["thing.done_0", "thing.done_1", "thing.done_2"]


def test_append__again__adds_nothing(add: Add) -> None:
    add()
    chain.append_committed()
    assert chain.append_committed() == 0


@pytest.mark.django_db(transaction=True)
def test_append__older_id_commits_later__gets_a_later_number(add: Add) -> None:
    inserted, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                add("slow.done")
                inserted.set()
                go_on.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    inserted.wait(10)
    add("fast.done")
    chain.append_committed()
    go_on.set()
    thread.join(10)
    chain.append_committed()
    assert chained_verbs() == ["fast.done", "slow.done"]
    assert list(chain.verify()) == []


def test_append__event_older_than_the_window__found_by_full_pass(add: Add) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_event (id, actor_key, responsible_key, verb, object_key, team_key,"
            " reason, correlation_id) VALUES (uuidv7('-2 hours'), 'a', '', 'old.done', 'x', '',"
            " '', '')"
        )
    assert chain.append_committed() == 0
    assert chain.append_committed(everything=True) == 1


def test_verify__untouched__no_fault(add: Add) -> None:
    add(before={"b": 1, "a": 0.1}, after=["ü", None, 10**30], reason="because")
    add()
    chain.append_committed()
    assert list(chain.verify()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events_event SET actor_key = 'user:eve' WHERE verb = 'thing.done_1'",
        "UPDATE events_event SET occurred_at = occurred_at - interval '1 us'"
        " WHERE verb = 'thing.done_1'",
        "UPDATE events_event SET after = '{\"ok\": true}' WHERE verb = 'thing.done_1'",
        "DELETE FROM events_event WHERE verb = 'thing.done_1'",
        "DELETE FROM event_chain WHERE seq = 2",
        "UPDATE event_chain SET digest = sha256('x') WHERE seq = 2",
    ],
)
def test_verify__one_row_changed__is_found(add: Add, statement: str) -> None:
    for number in range(3):
        add(f"thing.done_{number}", after={"ok": False})
    chain.append_committed()
    tamper(statement)
    assert list(chain.verify())


def test_verify__tail_cut__betrayed_by_a_cursor(add: Add) -> None:
    add()
    chain.append_committed()
    Cursor.objects.create(subscriber="s", seq=1)
    tamper("DELETE FROM event_chain")
    assert [fault.seq for fault in chain.verify()] == [1]


def test_verify_events__chain_holds__says_how_much(add: Add) -> None:
    add()
    chain.append_committed()
    add()
    out = StringIO()
    call_command("verify_events", "--chain-only", stdout=out)
    assert "chain holds: 1 events" in out.getvalue()
    assert "1 committed events wait" in out.getvalue()


def test_verify_events__tampered__names_the_link(add: Add) -> None:
    add()
    chain.append_committed()
    tamper("UPDATE events_event SET reason = 'x'")
    with pytest.raises(CommandError, match="#1: event"):
        call_command("verify_events", "--chain-only")
