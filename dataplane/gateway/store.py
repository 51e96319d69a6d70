"""The connection to the feature store: pipelined reads, each within its budget or not at all.

A raw protocol, as the whole budget is a few milliseconds. Nobody waits for a store that is known
to be away: while there is no connection, or the replies to a read that came too late are still
outstanding, a read fails at once. A connection that stays silent for `SILENT_S` is given up.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, cast

import hiredis
import structlog
from redis.connection import parse_url

log = structlog.get_logger()

CONNECT_S = 2.0
SILENT_S = 1.0
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0
Reason = Literal["away", "late"]


class Unread(Exception):
    """The store was not read: it is away, or it is late."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def command(*parts: bytes) -> bytes:
    """A command as the store reads it."""
    return b"*%d\r\n" % len(parts) + b"".join(map(bulk, parts))


def bulk(part: bytes) -> bytes:
    """One argument, behind its length: any bytes are allowed."""
    return b"$%d\r\n%b\r\n" % (len(part), part)


class _Read:
    """Replies that are waited for."""

    __slots__ = ("at", "count", "future", "replies")

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.count = count
        self.at = loop.time()
        self.replies: list[Any] = []
        self.future: asyncio.Future[list[Any]] = loop.create_future()


class Connection(asyncio.Protocol):
    """One connection; replies come in the order of the reads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._reads: deque[_Read] = deque()
        self._transport: asyncio.Transport
        self.lost = False

    @property
    def late(self) -> bool:
        """Whether a read that nobody waits for any more is still unanswered."""
        return bool(self._reads) and self._reads[0].future.done()

    @property
    def silent(self) -> bool:
        """Whether the oldest read has been unanswered for so long that nothing will come."""
        return bool(self._reads) and self._loop.time() - self._reads[0].at > SILENT_S

    def send(self, commands: bytes, count: int) -> "asyncio.Future[list[Any]]":
        """Write `count` commands; the future gets their replies."""
        read = _Read(count, self._loop)
        self._reads.append(read)
        self._transport.write(commands)
        return read.future

    def abort(self) -> None:
        """Give the connection up."""
        self.lost = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError:
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        for read in self._reads:
            if not read.future.done():
                read.future.set_exception(Unread("away"))
        self._reads.clear()

    def _take(self, reply: Any) -> None:
        if not self._reads:
            self.abort()  # an answer that nobody asked for: the order is lost
            return
        read = self._reads[0]
        read.replies.append(reply)
        if len(read.replies) == read.count:
            self._reads.popleft()
            if not read.future.done():
                read.future.set_result(read.replies)


class Store:
    """The store at a Redis URL. Connects when it is first needed, and again when it was lost."""

    def __init__(self, url: str) -> None:
        self._options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]  # redis-py
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None

    async def read(self, commands: bytes, count: int, seconds: float) -> list[Any]:
        """The replies to `count` commands that were sent as one. Raises Unread."""
        connection = self._usable()
        replies = connection.send(commands, count)
        try:
            async with asyncio.timeout(seconds):
                return await replies
        except TimeoutError as error:
            raise Unread("late") from error

    async def ready(self, seconds: float) -> bool:
        """Connect, if need be, for at most so long; whether there is a connection."""
        if self._connection is None or self._connection.lost:
            await asyncio.wait({self._connect()}, timeout=seconds)
        return self._connection is not None and not self._connection.lost

    def close(self) -> None:
        """Stop at once."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.abort()

    def _usable(self) -> Connection:
        connection = self._connection
        if connection is None or connection.lost:
            self._connect()
            raise Unread("away")
        if connection.late:
            if connection.silent:
                connection.abort()
            raise Unread("late")
        return connection

    def _connect(self) -> "asyncio.Task[None]":
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._keep_trying())
        return self._connecting

    async def _keep_trying(self) -> None:
        if self._connection is not None:
            log.warning("feature_store.lost")
        pause = RETRY_FIRST_S
        while True:
            try:
                async with asyncio.timeout(CONNECT_S):
                    self._connection = await self._open()
                return
            except (OSError, Unread) as error:
                log.warning("feature_store.away", error=str(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_MOST_S)

    async def _open(self) -> Connection:
        """A connection that has answered. Raises OSError, TimeoutError among them, or Unread."""
        loop, options = asyncio.get_running_loop(), self._options
        if "path" in options:
            _, connection = await loop.create_unix_connection(Connection, options["path"])
        else:
            host, port = options.get("host", "localhost"), options.get("port", 6379)
            secure = "connection_class" in options
            context = ssl.create_default_context() if secure else None
            _, connection = await loop.create_connection(Connection, host, port, ssl=context)
        try:
            hello = _greeting(options)
            replies = await connection.send(b"".join(hello), len(hello))
        except BaseException:
            connection.abort()
            raise
        refused = [reply for reply in replies if isinstance(reply, hiredis.ReplyError)]
        if refused:
            connection.abort()
            raise OSError(f"the store refuses us: {refused[0]}")
        return connection


def _greeting(options: dict[str, Any]) -> Sequence[bytes]:
    """Who we are, and which database; PING so that there is always an answer."""
    hello = [command(b"PING")]
    if options.get("db"):
        hello.insert(0, command(b"SELECT", b"%d" % options["db"]))
    if options.get("password"):
        names = [options[key].encode() for key in ("username", "password") if options.get(key)]
        hello.insert(0, command(b"AUTH", *names))
    return hello
