"""HTTP/1.1 on a bare asyncio protocol: strict parsing, keep-alive, ordered pipelining, limits.

One `Connection` per socket turns bytes into `Exchange`s and hands each to the server's handler,
which answers at once or later; answers leave in the order of the requests.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import httptools

JSON = b"application/json"
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """Sizes in bytes, times in seconds."""

    max_body: int = 1_048_576
    max_head: int = 16_384
    max_headers: int = 64
    max_connections: int = 10_000
    max_pipelined: int = 64
    request_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0


class Exchange:
    """One request and the place for its answer. `started` is time.perf_counter()."""

    __slots__ = (
        *("authorization", "body", "connection", "keep_alive"),
        *("method", "path", "payload", "started"),
    )

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.method = b""
        self.path = b""
        self.authorization = b""
        self.body = b""
        self.keep_alive = True
        self.payload: bytes | None = None
        self.started = 0.0

    def ok(self, body: bytes) -> None:
        """Answer 200 with JSON: the hot path."""
        head = self.connection.server.ok_head if self.keep_alive else None
        if head is None:
            self.respond(200, body)
        else:
            self.connection.answer(self, b"%b%d\r\n\r\n%b" % (head, len(body), body))

    def respond(
        self, status: int, body: bytes, *, content_type: bytes = JSON, headers: bytes = b""
    ) -> None:
        """Answer. `headers` are further complete header lines."""
        if not self.keep_alive:
            headers += b"Connection: close\r\n"
        self.connection.answer(
            self,
            b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n%b"
            % (
                status,
                _REASONS[status],
                self.connection.server.date,
                content_type,
                headers,
                len(body),
                b"" if self.method == b"HEAD" else body,
            ),
        )


Handler = Callable[[Exchange], None]
Refuse = Callable[[Exchange, int, str], None]


class Connection(asyncio.Protocol):
    """One client's socket. `since` is when the present wait (for bytes or for idleness) began."""

    def __init__(self, server: "HttpServer") -> None:
        self.server = server
        self.since = server.now
        self.receiving = False
        self.closing = False
        self._limits = server.limits
        self._parser = httptools.HttpRequestParser(self)
        self._pending: deque[Exchange] = deque()
        self._paused = False
        self._blocked = False
        self._reset()

    def _reset(self) -> None:
        self._exchange = Exchange(self)
        self._head_bytes = 0
        self._headers = 0
        self._body_bytes = 0
        self._chunks: list[bytes] = []
        self._in_body = False
        self._host = False

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self.server.admit(self):
            self.closing = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(400, "upgrades are not offered here")
        except httptools.HttpParserError as error:
            self._fail(400, f"not HTTP/1.1: {error}")
        if not self.closing and self.receiving and not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > 2 * self._limits.max_head:
                self._fail(431, "the request head is too large")

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """The client reads slower than it asks: take no more questions."""
        self._blocked = True
        self.since = self.server.now
        self._throttle()

    def resume_writing(self) -> None:
        self._blocked = False
        self.since = self.server.now
        self._throttle()

    # What the parser calls

    def on_message_begin(self) -> None:
        self.receiving = True
        self.since = self.server.now

    def on_url(self, url: bytes) -> None:
        self._exchange.path += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._count_head(len(name) + len(value))
        if self._headers > self._limits.max_headers:
            self._fail(431, "too many headers")
        lowered = name.lower()
        if lowered == b"authorization":
            self._exchange.authorization = value
        elif lowered == b"host":
            self._host = True
        elif lowered == b"content-length" and int(value) > self._limits.max_body:
            self._fail(413, "the body is too large")
        elif lowered == b"upgrade":
            self._fail(400, "upgrades are not offered here")
        elif lowered == b"expect" and not self.closing:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._exchange.method = self._parser.get_method()
        self._exchange.keep_alive = self._parser.get_http_version() == "1.1"
        if not self._host and self._exchange.keep_alive:
            self._fail(400, "the Host header is missing")
        elif self._exchange.method == b"CONNECT":
            self._fail(400, "this is no proxy")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.max_body:
            self._fail(413, "the body is too large")
        elif not self.closing:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self.closing:
            return
        exchange = self._exchange
        exchange.path = exchange.path.partition(b"?")[0]
        exchange.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        if self.server.draining or not self._parser.should_keep_alive():
            exchange.keep_alive = False
        exchange.started = time.perf_counter()
        self.receiving = False
        self._reset()
        self._pending.append(exchange)
        self.server.handler(exchange)
        if len(self._pending) > self._limits.max_pipelined:
            self._throttle()

    # What the rest of the gateway calls

    @property
    def busy(self) -> bool:
        """Whether answers are owed, or a request is half read."""
        return bool(self._pending) or (self.receiving and not self.closing)

    def answer(self, exchange: Exchange, payload: bytes) -> None:
        """Send `payload` when every earlier answer has been sent."""
        pending = self._pending
        exchange.payload = payload
        while pending and (ready := pending[0].payload) is not None:
            sent = pending.popleft()
            if not self._transport.is_closing():
                self._transport.write(ready)
            if not sent.keep_alive:
                self._finish()
        self.since = self.server.now
        if self._paused:
            self._throttle()

    def check_time(self, now: float) -> None:
        """Cut off whoever sends, or reads, too slowly, and whoever has been idle too long."""
        waited = now - self.since
        if self._blocked or self.closing:
            if waited > self._limits.request_timeout_s:
                self.abort()
        elif self.receiving and waited > self._limits.request_timeout_s:
            self._fail(408, "the request did not arrive in time")
        elif not self.busy and waited > self._limits.idle_timeout_s:
            self.close()

    def close(self) -> None:
        """Close once everything written has left."""
        self.closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.closing = True
        self._transport.abort()

    def _finish(self) -> None:
        """Close after the last answer.

        Who was refused half-way may still be sending: closing at once would reset the connection
        and take the answer with it, so only our half is closed and the rest is read and dropped.
        """
        if self.closing and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        else:
            self.close()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.max_head:
            self._fail(431, "the request head is too large")

    def _throttle(self) -> None:
        """Stop reading while the client does not read, or has too many requests open."""
        full = self._blocked or len(self._pending) > self._limits.max_pipelined
        if full != self._paused and not self._transport.is_closing():
            self._paused = full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _fail(self, status: int, detail: str) -> None:
        """Refuse the request being read and close: what follows in the stream is not trusted."""
        if self.closing:
            return
        self.closing = True
        exchange = self._exchange
        exchange.keep_alive = False
        self._pending.append(exchange)
        self.server.refuse(exchange, status, detail)


class HttpServer:
    """Listens, keeps the set of connections, and drains. `refuse` answers what was not HTTP."""

    def __init__(self, *, handler: Handler, refuse: Refuse, limits: HttpLimits) -> None:
        self.handler = handler
        self.refuse = refuse
        self.limits = limits
        self.draining = False
        self.connections: set[Connection] = set()
        self.now = 0.0
        self.date = b""
        self.ok_head = b""
        self._server: asyncio.Server | None = None
        self._clock: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> None:
        """Bind and serve. Raises OSError when the port is taken."""
        self._tick()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=2_048)

    @property
    def port(self) -> int:
        """The bound port."""
        assert self._server is not None  # noqa: S101 - only called after start
        return int(self._server.sockets[0].getsockname()[1])

    def admit(self, connection: Connection) -> bool:
        """Take in a new connection, if there is room."""
        if self.draining or len(self.connections) >= self.limits.max_connections:
            return False
        self.connections.add(connection)
        return True

    async def drain(self, seconds: float) -> None:
        """Take no new connection, answer what was asked, then close; at most `seconds`."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        await self._quiet(asyncio.get_running_loop().time() + seconds)
        for connection in tuple(self.connections):
            connection.close()
        await asyncio.sleep(0.05)
        for connection in tuple(self.connections):
            connection.abort()
        if self._clock is not None:
            self._clock.cancel()

    async def _quiet(self, until: float) -> None:
        """Wait, looking now and then, as a busy connection is no event that anyone signals."""
        loop = asyncio.get_running_loop()
        while loop.time() < until and any(each.busy for each in self.connections):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def _tick(self) -> None:
        """Once a second: the Date header, and the sweep for slow and idle connections."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.date = formatdate(usegmt=True).encode()
        self.ok_head = (
            b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Type: application/json\r\nContent-Length: "
            % self.date
        )
        for connection in tuple(self.connections):
            connection.check_time(self.now)
        self._clock = loop.call_later(1.0, self._tick)
