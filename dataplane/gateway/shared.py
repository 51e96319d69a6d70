"""The cache's second level: entries in Redis, for all gateways and over their restarts.

Reads of one moment are one MGET, writes one pipeline; neither blocks the event loop. A Redis that
is away, slow or refuses is a miss, never an error. An endpoint has as many slots as its policy
allows entries; a key has one slot, and takes it from whoever had it: so what Redis holds is
bounded whatever is asked. Entries carry a keyed digest: Redis is not trusted with answers.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Coroutine
from typing import Any, cast

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dataplane.gateway.cache import Entry, Place

log = structlog.get_logger()

PREFIX = b"switchyard:cache:"
MAC_BYTES = 16
AT_ONCE = 256
MOST_WAITING = 4_096
PAUSE_S = 1.0
SOCKET_S = 1.0

Then = Callable[[Entry | None], None]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class Wish:
    """One read under way; `then` is called once, with the entry or None."""

    __slots__ = ("place", "then")

    def __init__(self, place: Place, then: Then) -> None:
        self.place = place
        self.then: Then | None = then

    def grant(self, entry: Entry | None) -> None:
        """Give the answer, unless it was given before."""
        then, self.then = self.then, None
        if then is not None:
            then(entry)


class SharedCache:
    """`budget_s` is the longest that a row waits for Redis. On one event loop."""

    def __init__(self, url: str, *, secret: bytes, budget_s: float) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=SOCKET_S,
            socket_connect_timeout=SOCKET_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._secret = hashlib.sha256(b"switchyard cache" + secret).digest()
        self._budget_s = budget_s
        self._loop = asyncio.get_running_loop()
        self._wishes: list[Wish] = []
        self._writes: list[tuple[bytes, bytes, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = self._writing = self._overdue = False
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        """Whether Redis is not asked at the moment."""
        return self._overdue or self._loop.time() < self._away_until

    def get(self, place: Place, then: Then) -> None:
        """Look for an entry; `then` gets it within the budget, or None."""
        if self.away or len(self._wishes) >= MOST_WAITING:
            then(None)
            return
        self._wishes.append(Wish(place, then))
        if not self._reading:
            self._reading = True
            self._start(self._read())

    def put(self, place: Place, entry: Entry, seconds: float) -> None:
        """Keep an entry so long; forgotten when Redis is away or too much waits to be written."""
        if self.away or len(self._writes) >= MOST_WAITING:
            return
        body = _encode(entry)
        data = self._mac(place.key, body) + body
        self._writes.append((_name(place), data, max(int(seconds * 1_000), 1)))
        if not self._writing:
            self._writing = True
            self._start(self._write())

    async def close(self) -> None:
        """Give up what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        while self._wishes:
            wishes, self._wishes = self._wishes[:AT_ONCE], self._wishes[AT_ONCE:]
            timer = self._loop.call_later(self._budget_s, self._too_late, wishes)
            found = await self._fetch([_name(wish.place) for wish in wishes])
            timer.cancel()
            self._overdue = False
            for wish, data in zip(wishes, found, strict=True):
                wish.grant(self._opened(wish.place.key, data))
        self._reading = False

    async def _fetch(self, names: list[bytes]) -> list[bytes | None]:
        try:
            found = await self._client.mget(names)
        except (RedisError, OSError) as error:
            self._lost(error)
            return [None] * len(names)
        return cast("list[bytes | None]", found)

    async def _write(self) -> None:
        while self._writes:
            writes, self._writes = self._writes[:AT_ONCE], self._writes[AT_ONCE:]
            pipe = self._client.pipeline(transaction=False)
            for name, data, milliseconds in writes:
                pipe.set(name, data, px=milliseconds)
            try:
                await pipe.execute()
            except (RedisError, OSError) as error:
                self._lost(error)
        self._writing = False

    def _too_late(self, wishes: list[Wish]) -> None:
        """The budget is used up: nobody waits any longer, and nobody begins to."""
        self._overdue = True
        waiting, self._wishes = [*wishes, *self._wishes], []
        for wish in waiting:
            wish.grant(None)

    def _lost(self, error: Exception) -> None:
        if self._loop.time() >= self._away_until:
            log.warning("cache.redis_away", error=str(error))
        self._away_until = self._loop.time() + PAUSE_S

    def _opened(self, key: bytes, data: bytes | None) -> Entry | None:
        """The entry, if it is this key's and one of ours wrote it."""
        if data is None or not hmac.compare_digest(
            data[:MAC_BYTES], self._mac(key, data[MAC_BYTES:])
        ):
            return None
        try:
            return _decode(data[MAC_BYTES:])
        except msgspec.DecodeError:
            return None

    def _mac(self, key: bytes, body: bytes) -> bytes:
        return hashlib.blake2b(key + body, key=self._secret, digest_size=MAC_BYTES).digest()


def _name(place: Place) -> bytes:
    return b"%b%b:%d" % (PREFIX, place.endpoint.encode(), place.slot)
