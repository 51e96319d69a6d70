"""Calls to one Triton, over a connection that is opened on demand."""

import asyncio

from tritonclient.grpc import service_pb2 as pb

from dataplane.gateway import http2
from dataplane.gateway.http2 import GrpcError, request_block, timeout_header

_SERVICE = "/inference.GRPCInferenceService/"
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0


class Channel:
    """Calls to one Triton over one connection, opened on demand.

    `rows` counts what is outstanding there. After a connection that failed, calls fail at once
    for a while that doubles up to `RETRY_MOST_S`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.rows = 0
        self._loop = asyncio.get_running_loop()
        self._connection: http2.Connection | None = None
        self._opening: asyncio.Task[http2.Connection] | None = None
        self._retry_at = 0.0
        self._pause_s = RETRY_FIRST_S
        self._blocks = {
            name: request_block(_SERVICE + name, address)
            for name in ("ModelInfer", "ModelReady", "ServerLive")
        }

    @property
    def connected(self) -> bool:
        """Whether calls can be sent at this moment."""
        return self._connection is not None and self._connection.usable

    async def call(self, name: str, message: bytes, seconds: float, metadata: bytes = b"") -> bytes:
        """One unary call of the inference service. Raises GrpcError.

        `metadata` are further headers, as `http2.header` writes them.
        """
        connection = self._connection
        if connection is None or not connection.usable:
            connection = await self._connected(seconds)
        block = self._blocks[name] + timeout_header(seconds) + metadata
        return await connection.call(block, message, seconds)

    async def model_ready(self, entry: str, seconds: float) -> bool:
        """Connect, if need be, and ask whether the entry is loaded."""
        request = pb.ModelReadyRequest(name=entry).SerializeToString()
        try:
            reply = await self.call("ModelReady", request, seconds)
        except GrpcError:
            return False
        return bool(pb.ModelReadyResponse.FromString(reply).ready)

    async def live(self, seconds: float) -> bool:
        """Whether the server answers."""
        try:
            reply = await self.call("ServerLive", b"", seconds)
        except GrpcError:
            return False
        return bool(pb.ServerLiveResponse.FromString(reply).live)

    def close(self) -> None:
        """Close when the calls under way are answered."""
        if self._opening is not None:
            self._opening.cancel()
        if self._connection is not None:
            self._connection.close()

    async def _connected(self, seconds: float) -> http2.Connection:
        """The connection that all callers now waiting share. Raises GrpcError."""
        if self._opening is None:
            if self._loop.time() < self._retry_at:
                raise GrpcError(http2.UNAVAILABLE, f"{self.address} is away")
            self._opening = self._loop.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._opening)
        except TimeoutError as error:
            raise GrpcError(http2.UNAVAILABLE, f"{self.address} does not answer") from error
        except OSError as error:
            raise GrpcError(http2.UNAVAILABLE, f"{self.address}: {error}") from error

    async def _open(self) -> http2.Connection:
        host, _, port = self.address.rpartition(":")
        _, connection = await self._loop.create_connection(
            http2.Connection, host.strip("[]"), int(port)
        )
        return connection

    def _opened(self, opening: "asyncio.Task[http2.Connection]") -> None:
        self._opening = None
        if opening.cancelled():
            return
        if opening.exception() is None:
            self._connection = opening.result()
            self._pause_s = RETRY_FIRST_S
        else:
            self._retry_at = self._loop.time() + self._pause_s
            self._pause_s = min(2 * self._pause_s, RETRY_MOST_S)
