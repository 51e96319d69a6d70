"""The thread that follows Redis: new tables in, reports and overrides out, the spool's size."""

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec
import redis
import structlog

from contracts.routing import CHANGED_CHANNEL, OVERRIDES_KEY, REPORT_KEY, GatewayReport, Override
from dataplane.gateway.routing import Routing, Update

log = structlog.get_logger()

REPORT_TTL_S = 10
WAKE_S = 0.25
INSTALL_S = 5.0


class Subject(Protocol):
    """The gateway, as its feed sees it."""

    name: str

    async def install(self, update: Update) -> None:
        """Take over what is new. On the event loop."""

    def report(self) -> GatewayReport:
        """What runs now. From any thread."""

    def overrides(self) -> tuple[Override, ...]:
        """The overrides in force. From any thread."""

    def measure(self) -> None:
        """Look at the spool's size. From any thread; blocks on the disk."""


class Feed(threading.Thread):
    """Refreshes on each announcement and every `poll_s`; goes on when Redis comes and goes."""

    def __init__(
        self,
        *,
        subject: Subject,
        routing: Routing,
        redis_url: str,
        loop: asyncio.AbstractEventLoop,
        poll_s: float,
    ) -> None:
        super().__init__(name="routing-feed", daemon=True)
        self._subject, self._routing, self._loop = subject, routing, loop
        self._poll_s = poll_s
        self._client = redis.Redis.from_url(
            redis_url, socket_timeout=2.0, socket_connect_timeout=2.0
        )
        self._halt = threading.Event()
        self._reported: set[str] = set()
        self._due = 0.0
        self.connected = False

    def run(self) -> None:
        while not self._halt.is_set():
            try:
                self._follow()
            except redis.RedisError as error:
                self._lost(error)
                self._subject.measure()
                self._halt.wait(WAKE_S)
            except Exception:  # a thread that died here would leave the gateway blind
                log.exception("feed.failed")
                self._halt.wait(self._poll_s)

    def halt(self) -> None:
        """Ask the thread to end; it does within `WAKE_S`."""
        self._halt.set()

    def _follow(self) -> None:
        """Until Redis fails: wake on announcements, refresh, report."""
        with self._subscription() as subscription:
            subscription.subscribe(CHANGED_CHANNEL)
            self._due = 0.0
            while not self._halt.is_set():
                announced = subscription.get_message(timeout=WAKE_S) is not None
                if announced or time.monotonic() >= self._due:
                    self._turn()

    def _subscription(self) -> "redis.client.PubSub":
        subscription: redis.client.PubSub = self._client.pubsub(  # type: ignore[no-untyped-call]  # redis-py
            ignore_subscribe_messages=True
        )
        return subscription

    def _turn(self) -> None:
        self._due = time.monotonic() + self._poll_s
        update = self._routing.refresh(self._client)
        self.connected = True
        if update.table or update.clients:
            self._call(self._subject.install(update))
        self._subject.measure()
        self._send_report()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` on the gateway's event loop and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(INSTALL_S)

    def _send_report(self) -> None:
        name = self._subject.name
        pipe = self._client.pipeline(transaction=False)
        pipe.set(REPORT_KEY + name, msgspec.json.encode(self._subject.report()), ex=REPORT_TTL_S)
        fresh = [each for each in self._subject.overrides() if each.key not in self._reported]
        for override in fresh:
            pipe.hset(OVERRIDES_KEY, f"{name}:{override.key}", msgspec.json.encode(override))
        pipe.execute()
        self._reported |= {each.key for each in fresh}

    def _lost(self, error: redis.RedisError) -> None:
        if self.connected:
            log.warning("redis.lost", error=str(error))
        self.connected = False
        self._reported.clear()
