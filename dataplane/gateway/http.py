"""HTTP/1.1 on a bare asyncio protocol: strict parsing, keep-alive, ordered pipelining, limits.

One `Connection` per socket turns bytes into `Exchange`s and hands each to the server's handler,
which answers at once or later; answers leave in the order of the requests.
"""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from dataplane.gateway.exchange import JSON as JSON
from dataplane.gateway.exchange import Exchange as Exchange
from dataplane.gateway.limits import TIMEOUT_HEADER

if TYPE_CHECKING:
    from dataplane.gateway.listener import HttpServer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
KEPT = frozenset(
    {
        *(b"accept", b"accept-encoding", b"content-encoding"),
        *(b"inference-header-content-length", b"x-switchyard-user", b"traceparent", b"tracestate"),
        TIMEOUT_HEADER,
    }
)
WIRE_FACTOR = 8  # bytes on the wire for each byte of a chunked body that may be large
# May come in several lines; of traceparent a list is no valid value, and so ignored as one.
LISTS = frozenset({b"traceparent", b"tracestate"})
_FRAMING = frozenset({b"transfer-encoding", b"upgrade", b"expect"})
_ONCE = frozenset({b"authorization", b"host"})
_SELDOM = KEPT | _FRAMING | _ONCE


class Connection(asyncio.Protocol):
    """One client's socket. `since` is when the present wait (for bytes or for idleness) began.

    `_pending` are the requests being answered, `_waiting` those read but not begun yet: at most
    `max_pipelined` are begun, and none while the client does not read its answers.
    """

    def __init__(self, server: "HttpServer") -> None:
        self.server = server
        self.since = server.now
        self.receiving = False
        self.closing = False
        self._limits = server.limits
        self._max_headers = server.limits.max_headers
        self._max_head = server.limits.max_head
        self._held = 0
        self._parser = httptools.HttpRequestParser(self)
        self._pending: deque[Exchange] = deque()
        self._waiting: deque[Exchange] = deque()
        self._ended = False
        self._paused = False
        self._blocked = False
        self._starting = False
        self._reset_rest()
        self._reset()

    def _reset(self) -> None:
        self._exchange = Exchange(self)
        self._head_bytes = 0
        self._headers = 0
        self._body: bytes | bytearray = b""
        self._in_body = False
        self._host = False

    def _reset_rest(self) -> None:
        """What only `unusual` requests change: in pieces, in chunks, with expectations."""
        self._unusual = False
        self._wire_bytes = 0
        self._chunked = False
        self._expects = False
        self._continue_due = False

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self.server.admit(self, transport.get_extra_info("peername")):
            self.closing = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self._waiting.clear()
        self._let_go()
        self.server.dismiss(self)

    def data_received(self, data: bytes) -> None:
        if self.closing or self._ended:
            return
        begun = self.receiving
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(400, "upgrades are not offered here")
        except httptools.HttpParserError as error:
            self._fail(400, f"not HTTP/1.1: {error}")
        if self.receiving:
            self._hold(len(data), begun=begun)
        elif self._held:
            self._let_go()

    def eof_received(self) -> bool:
        """The client says no more: what it has asked is answered, half a request is not."""
        self._ended = True
        self.receiving = False
        self._let_go()
        last = self._waiting or self._pending
        if last:
            last[-1].keep_alive = False
        return bool(last)

    def pause_writing(self) -> None:
        """The client reads slower than it asks: take no more questions."""
        self._blocked = True
        self.since = self.server.now
        self._throttle()

    def resume_writing(self) -> None:
        self._blocked = False
        self.since = self.server.now
        self._start_waiting()

    # What the parser calls

    def on_message_begin(self) -> None:
        self.receiving = True
        if not self._blocked:
            self.since = self.server.now

    def on_url(self, url: bytes) -> None:
        self._exchange.path += url
        self._head_bytes += len(url)
        if self._head_bytes > self._max_head:
            self._fail(431, "the path is too large")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._head_bytes += len(name) + len(value)
        if self._headers > self._max_headers or self._head_bytes > self._max_head:
            self._fail(431, "the request head is too large, or has too many headers")
        if self._in_body:
            return  # a trailer: nothing that it says is believed
        lowered = name.lower()
        exchange = self._exchange
        if lowered == b"authorization" and not exchange.authorization:
            exchange.authorization = value
        elif lowered == b"host" and not self._host:
            self._host = True
        elif lowered == b"content-length" and int(value) > self._limits.max_body:
            self._fail(413, "the body is too large")
        elif lowered in _SELDOM:
            self._seldom_header(lowered, value)

    def on_headers_complete(self) -> None:
        self._in_body = True
        exchange = self._exchange
        exchange.method = self._parser.get_method()
        version = self._parser.get_http_version()
        if version != "1.1":
            self._old_version(exchange, version)
        elif not self._host:
            self._fail(400, "the Host header is missing")
        elif exchange.method == b"CONNECT":
            self._fail(400, "this is no proxy")
        elif self._expects and not self.closing:
            self._continue_due = True
            self._say_continue()

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        if len(self._body) > self._limits.max_body:
            self._body = b""
            self._fail(413, "the body is too large")

    def on_message_complete(self) -> None:
        if self.closing or self._ended:
            return
        exchange = self._exchange
        if exchange.path[:1] != b"/" or b"?" in exchange.path:
            exchange.path = _path(exchange.path)
        exchange.body = bytes(self._body)
        if self.server.draining or not self._parser.should_keep_alive():
            exchange.keep_alive = False
        self._ended = not exchange.keep_alive
        self.receiving = False
        self._reset()
        if self._unusual:
            self._reset_rest()
        if self._waiting or self._blocked or len(self._pending) >= self._limits.max_pipelined:
            self._wait(exchange)
        else:
            self._pending.append(exchange)
            exchange.started = time.perf_counter()
            self.server.handler(exchange)

    # What the rest of the gateway calls

    @property
    def busy(self) -> bool:
        """Whether answers are owed, or a request is half read."""
        return bool(self._pending or self._waiting) or (self.receiving and not self.closing)

    @property
    def unread_bytes(self) -> int:
        """How much of what was answered the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def answer(self, exchange: Exchange, payload: bytes) -> None:
        """Send `payload` when every earlier answer has been sent."""
        pending = self._pending
        exchange.payload = payload
        while pending and (ready := pending[0].payload) is not None:
            sent = pending.popleft()
            if self._transport.is_closing():
                continue
            self._transport.write(ready)
            if not sent.keep_alive:
                self._finish()
        if not self._blocked:
            self.since = self.server.now
        if self._waiting or self._paused or self._continue_due:
            self._start_waiting()

    def answer_last(self) -> None:
        """Let the last answer that is owed by now be the last of this connection."""
        owed = self._waiting or self._pending
        if owed and not self.receiving:
            owed[-1].keep_alive = False

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

    def _wait(self, exchange: Exchange) -> None:
        """Let a request wait for its turn, which may have come."""
        self._waiting.append(exchange)
        self._start_waiting()

    def _begin(self, exchange: Exchange) -> None:
        self._pending.append(exchange)
        exchange.started = time.perf_counter()
        if exchange.fault is None:
            self.server.handler(exchange)
        else:
            self.server.refuse(exchange, *exchange.fault)

    def _start_waiting(self) -> None:
        """Begin what there is room for now; many are answered at once, hence no recursion."""
        if self._starting:
            return
        self._starting = True
        limit = self._limits.max_pipelined
        while self._waiting and not self._blocked and len(self._pending) < limit:
            self._begin(self._waiting.popleft())
        self._starting = False
        self._throttle()
        self._say_continue()

    def _say_continue(self) -> None:
        """Invite the body, once every earlier answer has left."""
        if self._continue_due and not (self._pending or self._waiting or self.closing):
            self._continue_due = False
            self._transport.write(CONTINUE)

    def _finish(self) -> None:
        """Close after the last answer.

        Who was refused half-way may still be sending: closing at once would reset the connection
        and take the answer with it, so only our half is closed and the rest is read and dropped.
        """
        self._pending.clear()
        self._waiting.clear()
        if self.closing and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self.close()

    def _twice(self) -> None:
        """Two of a header that decides something may be read in two ways."""
        self._fail(400, "a header that may come once came twice")

    def _seldom_header(self, name: bytes, value: bytes) -> None:
        if name in _ONCE:
            self._twice()
        elif name in KEPT:
            self._keep(name, value)
        else:
            self._framing_header(name, value.strip().lower())

    def _keep(self, name: bytes, value: bytes) -> None:
        headers = self._exchange.headers
        if name in headers:
            if name not in LISTS:
                self._twice()
            value = headers[name] + b"," + value
        self._exchange.headers = {**headers, name: value}

    def _old_version(self, exchange: Exchange, version: str) -> None:
        exchange.keep_alive = False
        if version != "1.0":
            self._fail(400, "this version of HTTP is not spoken here")
        elif self._chunked:
            self._fail(400, "HTTP/1.0 has no chunks")

    def _framing_header(self, name: bytes, value: bytes) -> None:
        self._unusual = True
        if name == b"upgrade":
            self._fail(400, "upgrades are not offered here")
        elif name == b"transfer-encoding":
            self._chunked = True
            if value != b"chunked":
                self._fail(400, "no transfer coding but chunked is understood here")
        elif value == b"100-continue":
            self._expects = True
        else:
            self._fail(417, "no expectation but 100-continue can be met")

    def _hold(self, size: int, *, begun: bool) -> None:
        """More of a request that is not whole yet: all of them together have a budget."""
        if begun:
            self._count_unfinished(size)
        if self.closing:
            return
        self._held += size
        self.server.held_bytes += size
        if self.server.held_bytes > self._limits.max_held:
            self._fail(503, "too many requests are half sent at this moment")

    def _let_go(self) -> None:
        """Nothing of a request is kept here any more but what is being answered."""
        self.server.held_bytes -= self._held
        self._held = 0

    def _count_unfinished(self, size: int) -> None:
        """Bound what no callback shows: half a header, chunk sizes and their extensions."""
        self._unusual = True
        self._wire_bytes += size
        if not self._in_body and self._wire_bytes > 2 * self._limits.max_head:
            self._fail(431, "the request head is too large")
        elif self._chunked and self._wire_bytes > WIRE_FACTOR * self._limits.max_body:
            self._fail(413, "the body comes in too small pieces")

    def _throttle(self) -> None:
        """Stop reading while the client does not read, or has too many requests open."""
        full = self._blocked or bool(self._waiting)
        if full != self._paused and not self._transport.is_closing():
            self._paused = full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _fail(self, status: int, detail: str) -> None:
        """Refuse the request being read and close: what follows in the stream is not trusted."""
        if self.closing or self._ended:
            return
        self.closing = True
        self._body = b""
        self._let_go()
        exchange = self._exchange
        exchange.keep_alive = False
        exchange.fault = (status, detail)
        self._wait(exchange)


def _path(target: bytes) -> bytes:
    """The path of a request target, which to a proxy is a whole URL."""
    if target[:1] != b"/" and b"://" in target:
        target = b"/" + target.partition(b"://")[2].partition(b"?")[0].partition(b"/")[2]
    return target.partition(b"?")[0]
