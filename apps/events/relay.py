"""The relay: the one process that chains committed events and delivers them.

Leadership is an advisory lock on a connection of its own, which also listens for NOTIFY; Django's
connection does the work. Two leaders at once, for the moment in which a connection dies, do no
harm: appending is serialised in the database, and delivery is at least once anyway.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType

import psycopg
import structlog
from django.db import connection
from django.utils import timezone

from apps.events import chain, delivery
from apps.events.services import CHANNEL

log = structlog.get_logger(__name__)

LEADER_LOCK = 0x5359_0000
POLL_SECONDS = 1.0
FULL_PASS_SECONDS = 600.0


class Relay:
    """Chains and delivers until `stop` is set. Use as a context manager.

    `on_lead` is called once this relay has become the leader.
    """

    def __init__(self, *, on_lead: Callable[[], None] = lambda: None) -> None:
        self.stop = threading.Event()
        self._on_lead = on_lead
        self._full_pass_at = 0.0
        self._listener = _connect()

    def __enter__(self) -> "Relay":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def run(self) -> None:
        """Wait to be the leader, then relay. Raises when a connection dies: start afresh then."""
        if not self._lead():
            return
        log.info("relay.started", seq=chain.head().seq)
        self._listener.execute(f"LISTEN {CHANNEL}")
        delivery.register_subscribers()
        self._on_lead()
        while not self.stop.is_set():
            if not self.step():
                self._wait()
        log.info("relay.stopped", seq=chain.head().seq)

    def step(self) -> bool:
        """One pass: chain what is committed, deliver what is chained; whether more is waiting."""
        due = time.monotonic() >= self._full_pass_at
        chained = chain.append_committed(everything=due)
        if due and chained < chain.BATCH:
            self._full_pass_at = time.monotonic() + FULL_PASS_SECONDS
        behind = delivery.deliver_all(now=timezone.now())
        return behind or chained == chain.BATCH

    def leads(self) -> bool:
        """Try to become the leader; whether this relay is it."""
        row = self._listener.execute("SELECT pg_try_advisory_lock(%s)", (LEADER_LOCK,)).fetchone()
        return bool(row and row[0])

    def _lead(self) -> bool:
        while not self.leads():
            if self.stop.wait(POLL_SECONDS):
                return False
        return not self.stop.is_set()

    def _wait(self) -> None:
        """Sleep until an event is committed, a retry is due, or a second has passed."""
        retry = delivery.next_retry(now=timezone.now())
        timeout = POLL_SECONDS if retry is None else min(retry, POLL_SECONDS)
        for _ in self._listener.notifies(timeout=timeout, stop_after=1):
            pass


def _connect() -> "psycopg.Connection[tuple[object, ...]]":
    parameters = connection.get_connection_params()
    known = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port")}
    return psycopg.connect(**known, autocommit=True, application_name="switchyard-relay")
