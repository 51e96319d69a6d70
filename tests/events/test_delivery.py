"""Delivery: in order, at least once, and a failing subscriber holds only itself."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.events import chain, delivery
from apps.events.models import Cursor, DeadLetter, Event
from apps.events.services import subscribe

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_our_subscribers")]
Add = Callable[..., Event]


class Listener:
    """A subscriber that remembers what it heard, and fails while `broken`."""

    def __init__(self, name: str, *verbs: str, broken: bool = False) -> None:
        self.heard: list[str] = []
        self.broken = broken
        subscribe(name, verbs or ("*",), self)

    def __call__(self, event: Event) -> None:
        if self.broken:
            raise RuntimeError("the other side is away")
        self.heard.append(event.verb)


def deliver(*, after_seconds: float = 0) -> bool:
    delivery.register_subscribers()
    chain.append_committed()
    return delivery.deliver_all(now=timezone.now() + timedelta(seconds=after_seconds))


def deliver_until_given_up() -> None:
    for _ in range(delivery.MAX_ATTEMPTS):
        deliver(after_seconds=3600)


def test_deliver__several_events__heard_once_in_order(add: Add) -> None:
    listener = Listener("all")
    for number in range(3):
        add(f"thing.done_{number}")
    deliver()
    deliver()
    assert listener.heard == ["thing.done_0", "thing.done_1", "thing.done_2"]


def test_deliver__pattern__hears_only_its_verbs(add: Add) -> None:
    listener = Listener("tokens", "token.*", "user.created")
    for verb in ("token.issued", "user.created", "user.deactivated"):
        add(verb)
    deliver()
    assert listener.heard == ["token.issued", "user.created"]
    assert Cursor.objects.get(pk="tokens").seq == 3


def test_deliver__more_than_a_batch__says_so_and_goes_on(
    add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH", 2)
    listener = Listener("all")
    for _ in range(3):
        add()
    assert deliver()
    assert not deliver()
    assert len(listener.heard) == 3


def test_deliver__one_fails__holds_only_itself(add: Add) -> None:
    broken, well = Listener("broken", broken=True), Listener("well")
    add("thing.done_0")
    add("thing.done_1")
    deliver()
    assert (broken.heard, well.heard) == ([], ["thing.done_0", "thing.done_1"])
    cursor = Cursor.objects.get(pk="broken")
    assert (cursor.seq, cursor.attempts) == (0, 1)
    assert "the other side is away" in cursor.error


def test_deliver__failed__waits_longer_each_time(add: Add) -> None:
    Listener("broken", broken=True)
    add()
    waits = []
    for _ in range(3):
        deliver(after_seconds=3600)
        due = Cursor.objects.get(pk="broken").retry_at
        assert due is not None
        waits.append((due - timezone.now()).total_seconds())
    assert waits == pytest.approx([0.5, 1.0, 2.0], abs=0.2)


def test_deliver__before_retry_is_due__not_called(add: Add) -> None:
    listener = Listener("broken", broken=True)
    add()
    deliver()
    listener.broken = False
    deliver()
    assert listener.heard == []


def test_deliver__recovered__continues_with_the_event_that_failed(add: Add) -> None:
    listener = Listener("broken", broken=True)
    add("thing.done_0")
    add("thing.done_1")
    deliver()
    listener.broken = False
    deliver(after_seconds=1)
    assert listener.heard == ["thing.done_0", "thing.done_1"]
    cursor = Cursor.objects.get(pk="broken")
    assert (cursor.seq, cursor.attempts, cursor.retry_at) == (2, 0, None)


def test_deliver__every_retry_failed__dead_letter_and_on(add: Add) -> None:
    listener = Listener("broken", broken=True)
    add("thing.done_0")
    deliver_until_given_up()
    listener.broken = False
    add("thing.done_1")
    deliver()
    assert listener.heard == ["thing.done_1"]
    letter = DeadLetter.objects.get()
    assert (letter.subscriber, letter.chained_id) == ("broken", 1)


def test_replay_dead_letters__subscriber_well_again__taken_once(add: Add) -> None:
    listener = Listener("broken", broken=True)
    add("thing.done_0")
    deliver_until_given_up()
    listener.broken = False
    for expected in ("1 taken, 0 not", "0 taken, 0 not"):
        out = StringIO()
        call_command("replay_dead_letters", stdout=out)
        assert expected in out.getvalue()
    assert listener.heard == ["thing.done_0"]


def test_register__later_subscriber__starts_at_the_head(add: Add) -> None:
    Listener("first")
    add("thing.done_0")
    deliver()
    late = Listener("late")
    add("thing.done_1")
    deliver()
    assert late.heard == ["thing.done_1"]


def test_deliver__crash_between_handler_and_cursor__delivers_again(
    add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener("all")
    add()
    with monkeypatch.context() as patched:
        patched.setattr(delivery, "_advance", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            deliver()
    deliver()
    assert listener.heard == ["thing.done", "thing.done"]
