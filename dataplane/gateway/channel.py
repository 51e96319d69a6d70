"""Calls to one Triton by gRPC or by HTTP/1.1, as its address says; connections are made on demand.

`infer` sends at once where a connection is there: what it returns only waits for the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from tritonclient.grpc import service_pb2 as pb

from contracts.addresses import Address, parse_address
from dataplane.gateway import errors, http1, http2
from dataplane.gateway.errors import Lost, TritonError
from dataplane.gateway.http2 import header, request_block, timeout_header
from dataplane.gateway.inference import (
    Headers,
    Outputs,
    Request,
    grpc_outputs,
    grpc_request,
    http_outputs,
    http_request,
)
from dataplane.gateway.tls import PLAIN, Tls

_SERVICE = "/inference.GRPCInferenceService/"
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0
HTTP_OK = 200
MAX_IDLE = 32

C = TypeVar("C", http1.Connection, http2.Connection)


class Channel(Protocol):
    """What a Triton can be asked. `rows` counts what is outstanding there, by whoever asked."""

    address: str
    rows: int

    @property
    def connected(self) -> bool:
        """Whether calls can be sent at this moment."""

    def infer(self, request: Request, seconds: float, headers: Headers = ()) -> Awaitable[Outputs]:
        """Send an inference; await it for its outputs by name. Awaiting raises TritonError."""

    async def model_ready(self, entry: str, seconds: float) -> bool:
        """Connect, if need be, and ask whether the entry is loaded."""

    async def live(self, seconds: float) -> bool:
        """Whether the server answers."""

    def close(self) -> None:
        """Close when the calls under way are answered."""


def open_channel(text: str, tls: Tls = PLAIN) -> Channel:
    """The channel that an address asks for. Raises AddressError, TlsError."""
    address = parse_address(text)
    kind = GrpcChannel if address.is_grpc else HttpChannel
    return kind(text, address, tls)


class Dialler:
    """Opens connections to one address.

    After one that failed, calls fail at once for a while that doubles up to `RETRY_MOST_S`. An
    attempt goes on when whoever waited for it gives up.
    """

    def __init__(self, address: Address, tls: Tls) -> None:
        self._address = address
        self._tls = tls.context("h2" if address.is_grpc else "http/1.1", address)
        self._loop = asyncio.get_running_loop()
        self._retry_at = 0.0
        self._pause_s = RETRY_FIRST_S

    def begin(self, make: Callable[[], C]) -> "asyncio.Task[C]":
        """Start to open a connection. Raises TritonError."""
        if self._loop.time() < self._retry_at:
            raise TritonError(errors.UNAVAILABLE, f"{self._address.authority} is away")
        opening = self._loop.create_task(self._open(make))
        opening.add_done_callback(self._learn)
        return opening

    async def wait(self, opening: "asyncio.Task[C]", seconds: float) -> C:
        """The connection. Raises TritonError."""
        where = self._address.authority
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(opening)
        except TimeoutError as error:
            raise TritonError(errors.UNAVAILABLE, f"{where} does not answer") from error
        except OSError as error:  # ssl.SSLError among them
            raise TritonError(errors.UNAVAILABLE, f"{where}: {error}") from error

    async def _open(self, make: Callable[[], C]) -> C:
        host, port = self._address.host, self._address.port
        _, connection = await self._loop.create_connection(make, host, port, ssl=self._tls)
        return connection

    def _learn(self, opening: "asyncio.Task[Any]") -> None:
        if opening.cancelled():
            return
        if opening.exception() is None:
            self._pause_s = RETRY_FIRST_S
        else:
            self._retry_at = self._loop.time() + self._pause_s
            self._pause_s = min(2 * self._pause_s, RETRY_MOST_S)


class GrpcChannel:
    """All calls over one HTTP/2 connection."""

    def __init__(self, text: str, address: Address, tls: Tls) -> None:
        self.address = text
        self.rows = 0
        self._dialler = Dialler(address, tls)
        self._connection: http2.Connection | None = None
        self._opening: asyncio.Task[http2.Connection] | None = None
        scheme = "https" if address.is_secure else "http"
        self._blocks = {
            name: request_block(_SERVICE + name, address.authority, scheme=scheme)
            for name in ("ModelInfer", "ModelReady", "ServerLive")
        }

    @property
    def connected(self) -> bool:
        """Whether calls can be sent at this moment."""
        return self._connection is not None and self._connection.usable

    def infer(self, request: Request, seconds: float, headers: Headers = ()) -> Awaitable[Outputs]:
        """See `Channel`."""
        message = grpc_request(request)
        metadata = b"".join(header(*each) for each in headers) if headers else b""
        connection = self._connection
        if connection is None or not connection.usable:
            return self._infer_later(message, seconds, metadata)
        block = self._blocks["ModelInfer"] + timeout_header(seconds) + metadata
        return self._outputs(connection, connection.send(block, message, seconds))

    async def call(self, name: str, message: bytes, seconds: float, metadata: bytes = b"") -> bytes:
        """One unary call of the inference service. Raises TritonError.

        `metadata` are further headers, as `http2.header` writes them.
        """
        connection = self._connection
        if connection is None or not connection.usable:
            connection = await self._connected(seconds)
        block = self._blocks[name] + timeout_header(seconds) + metadata
        return await connection.call(block, message, seconds)

    async def model_ready(self, entry: str, seconds: float) -> bool:
        """See `Channel`."""
        request = pb.ModelReadyRequest(name=entry).SerializeToString()
        try:
            reply = await self.call("ModelReady", request, seconds)
        except TritonError:
            return False
        return bool(pb.ModelReadyResponse.FromString(reply).ready)

    async def live(self, seconds: float) -> bool:
        """See `Channel`."""
        try:
            reply = await self.call("ServerLive", b"", seconds)
        except TritonError:
            return False
        return bool(pb.ServerLiveResponse.FromString(reply).live)

    def close(self) -> None:
        """See `Channel`."""
        if self._opening is not None:
            self._opening.cancel()
        if self._connection is not None:
            self._connection.close()

    async def _outputs(self, connection: http2.Connection, stream: http2.Stream) -> Outputs:
        return grpc_outputs(await connection.answered(stream))

    async def _infer_later(self, message: bytes, seconds: float, metadata: bytes) -> Outputs:
        return grpc_outputs(await self.call("ModelInfer", message, seconds, metadata))

    async def _connected(self, seconds: float) -> http2.Connection:
        """The connection that all callers now waiting share. Raises TritonError."""
        if self._opening is None:
            self._opening = self._dialler.begin(http2.Connection)
            self._opening.add_done_callback(self._opened)
        return await self._dialler.wait(self._opening, seconds)

    def _opened(self, opening: "asyncio.Task[http2.Connection]") -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._connection = opening.result()


class HttpChannel:
    """A call at a time on each connection; the one used last is used next, the others grow old."""

    def __init__(self, text: str, address: Address, tls: Tls) -> None:
        self.address = text
        self.rows = 0
        self._dialler = Dialler(address, tls)
        self._loop = asyncio.get_running_loop()
        self._host = b"Host: %b\r\n" % address.authority.encode()
        self._idle: list[http1.Connection] = []
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether a call can be sent at this moment without a new connection."""
        return any(each.usable for each in self._idle)

    def infer(self, request: Request, seconds: float, headers: Headers = ()) -> Awaitable[Outputs]:
        """See `Channel`."""
        data = http_request(request, self._host, headers)
        connection = self._take()
        if connection is None:
            return self._infer_later(data, seconds)
        return self._outputs(connection, connection.send(data, seconds), data, seconds)

    async def model_ready(self, entry: str, seconds: float) -> bool:
        """See `Channel`."""
        return await self._is_ok(b"/v2/models/%b/ready" % quote(entry, safe="").encode(), seconds)

    async def live(self, seconds: float) -> bool:
        """See `Channel`."""
        return await self._is_ok(b"/v2/health/live", seconds)

    def close(self) -> None:
        """See `Channel`."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    async def _is_ok(self, path: bytes, seconds: float) -> bool:
        data = b"GET %b HTTP/1.1\r\n%b\r\n" % (path, self._host)
        connection = self._take()
        try:
            if connection is None:
                answer = await self._ask_anew(data, seconds)
            else:
                reply = connection.send(data, seconds)
                answer = await self._answer(connection, reply, data, seconds)
        except TritonError:
            return False
        return answer.status == HTTP_OK

    async def _outputs(
        self,
        connection: http1.Connection,
        reply: "asyncio.Future[http1.Answer]",
        data: bytes,
        seconds: float,
    ) -> Outputs:
        return http_outputs(*await self._answer(connection, reply, data, seconds))

    async def _infer_later(self, data: bytes, seconds: float) -> Outputs:
        return http_outputs(*await self._ask_anew(data, seconds))

    async def _answer(
        self,
        connection: http1.Connection,
        reply: "asyncio.Future[http1.Answer]",
        data: bytes,
        seconds: float,
    ) -> http1.Answer:
        """The answer of a connection that was used before.

        The server may have closed it while the request was on its way: then a new one is asked.
        """
        ends = self._loop.time() + seconds
        try:
            answer = await reply
        except Lost as error:
            if error.heard:
                raise
            return await self._ask_anew(data, ends - self._loop.time())
        finally:
            connection.let_go(reply)
        self._keep(connection)
        return answer

    async def _ask_anew(self, data: bytes, seconds: float) -> http1.Answer:
        """Ask over a new connection. Raises TritonError."""
        opening = self._dialler.begin(http1.Connection)
        ends = self._loop.time() + seconds
        try:
            connection = await self._dialler.wait(opening, seconds)
        except (TritonError, asyncio.CancelledError):
            opening.add_done_callback(self._opened_late)
            raise
        reply = connection.send(data, ends - self._loop.time())
        try:
            answer = await reply
        finally:
            connection.let_go(reply)
        self._keep(connection)
        return answer

    def _opened_late(self, opening: "asyncio.Task[http1.Connection]") -> None:
        """Who wanted it waits no more: it is the next one's."""
        if not opening.cancelled() and opening.exception() is None:
            self._keep(opening.result())

    def _take(self) -> http1.Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.free:
                return connection
        return None

    def _keep(self, connection: http1.Connection) -> None:
        """Have it used again, or close it where there are many already."""
        if len(self._idle) >= MAX_IDLE:
            self._idle = [each for each in self._idle if each.free]
        if self._closed or len(self._idle) >= MAX_IDLE:
            connection.close()
        elif connection.free:
            self._idle.append(connection)
