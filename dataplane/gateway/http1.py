"""HTTP/1.1 requests over one connection that is kept alive: one at a time, as bytes.

Triton's own HTTP answers a small batch sooner than its gRPC does, and asking costs this client
less (ADR 13). Requests are not pipelined: one that is slow would hold up those behind it.
"""

import asyncio
from typing import NamedTuple, cast

import httptools

from dataplane.gateway import errors
from dataplane.gateway.errors import Lost, TritonError

DOCUMENT_LENGTH = b"inference-header-content-length"
BODY_MOST = 268_435_456


class Answer(NamedTuple):
    """`length` is where the JSON of the body ends, if the answer says it: 0 otherwise."""

    status: int
    length: int
    body: bytes


class Connection(asyncio.Protocol):
    """One connection; it is finished when `usable` turns False, and never comes back.

    `free` is whether a request may be sent.
    """

    def __init__(self) -> None:
        self.usable = True
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._reply: asyncio.Future[Answer] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = False
        self._length = 0
        self._body: bytes | bytearray = b""

    @property
    def free(self) -> bool:
        """Whether nothing is under way here, and something may be."""
        return self.usable and self._reply is None

    def send(self, request: bytes, seconds: float) -> "asyncio.Future[Answer]":
        """Send a request now. The future raises TritonError; `let_go` of it in any case."""
        reply = self._reply = self._loop.create_future()
        self._heard = False
        self._transport.write(request)
        self._timer = self._loop.call_later(seconds, self._expire)
        return reply

    def let_go(self, reply: "asyncio.Future[Answer]") -> None:
        """Nobody waits for it any more: a connection on which it may still come ends."""
        if self._reply is reply:
            self.abort()

    def close(self) -> None:
        """Close at once when nothing is under way, else after the answer."""
        self.usable = False
        if self._reply is None:
            self._transport.close()

    def abort(self) -> None:
        """Close whatever is under way."""
        self.usable = False
        self._transport.abort()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(Lost("the connection was lost", heard=self._heard))

    def data_received(self, data: bytes) -> None:
        if self._reply is None:  # nobody asked
            self.abort()
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == DOCUMENT_LENGTH and value.isdigit():
            self._length = int(value)

    def on_body(self, body: bytes) -> None:
        if not self._body:
            self._body = body
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += body
        if len(self._body) > BODY_MOST:
            self.abort()

    def on_message_complete(self) -> None:
        status, keep = self._parser.get_status_code(), self._parser.should_keep_alive()
        if status < 200:  # an interim answer: the one that counts follows
            return
        answer = Answer(status, self._length, bytes(self._body))
        self._length, self._body = 0, b""
        reply = self._ended()
        if not keep or not self.usable:
            self.usable = False
            self._transport.close()
        if reply is not None and not reply.done():
            reply.set_result(answer)

    def _expire(self) -> None:
        """The deadline passed: what may still come belongs to nobody, so the connection ends."""
        error = TritonError(errors.DEADLINE_EXCEEDED, "the deadline passed")
        self._fail(error)
        self.abort()

    def _fail(self, error: TritonError) -> None:
        reply = self._ended()
        if reply is not None and not reply.done():
            reply.set_exception(error)

    def _ended(self) -> "asyncio.Future[Answer] | None":
        """Nothing is under way any more."""
        reply, self._reply = self._reply, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return reply
