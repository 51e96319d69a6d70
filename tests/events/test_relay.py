"""The relay as it runs: woken by NOTIFY, one leader, ended by a signal."""

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from apps.events import chain
from apps.events import relay as relay_module
from apps.events.models import ChainedEvent, Event
from apps.events.relay import Relay
from apps.events.services import subscribe

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("only_our_subscribers"),
]
Add = Callable[..., Event]


@contextmanager
def running() -> Iterator[threading.Event]:
    """A relay in a thread with connections of its own; yields what is set when it leads."""
    leads = threading.Event()
    with Relay(on_lead=leads.set) as relay:

        def run() -> None:
            try:
                relay.run()
            finally:
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield leads
        finally:
            relay.stop.set()
            thread.join(10)


def wait_for(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_relay__committed_event__wakes_it_long_before_it_would_look(
    add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "POLL_SECONDS", 3.0)
    arrived: dict[object, float] = {}
    subscribe("clock", ["*"], lambda event: arrived.update({event.pk: time.monotonic()}))
    delays = []
    with running() as leads:
        assert leads.wait(10)
        for _ in range(20):
            event = add()
            committed = time.monotonic()
            wait_for(lambda pk=event.pk: pk in arrived)  # type: ignore[misc]  # bound in the loop
            delays.append(arrived[event.pk] - committed)
            time.sleep(0.02)
    assert min(delays) < 0.1
    assert statistics.median(delays) < 1.0


def test_relay__events_from_before_it_started__delivered(add: Add) -> None:
    heard: list[str] = []
    subscribe("all", ["*"], lambda event: heard.append(event.verb))
    add("thing.done_0")
    with running():
        wait_for(lambda: heard == ["thing.done_0"])


def test_relay__two_at_once__one_leads_and_the_other_takes_over() -> None:
    with Relay() as first, Relay() as second:
        assert first.leads()
        assert not second.leads()
        first.__exit__(None, None, None)
        wait_for(second.leads)


def test_relay__two_running__every_event_delivered_once_and_chain_gapless(add: Add) -> None:
    heard: list[str] = []
    subscribe("all", ["*"], lambda event: heard.append(event.verb))
    with running() as first, running() as second:
        wait_for(lambda: first.is_set() or second.is_set())
        expected = [add(f"thing.done_{number}").verb for number in range(20)]
        wait_for(lambda: len(heard) >= 20)
        assert not (first.is_set() and second.is_set())
    assert heard == expected
    assert list(ChainedEvent.objects.values_list("seq", flat=True)) == list(range(1, 21))
    assert list(chain.verify()) == []


def test_relay_command__sigterm__ends_with_status_0(add: Add) -> None:
    add()
    settings = connection.settings_dict
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**settings)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "relay"], env={**os.environ, "DATABASE_URL": url}
    )
    try:
        wait_for(lambda: chain.head().seq == 1, seconds=60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
