"""Step 5 of the request path: one batched gRPC call to Triton.

Requests are assembled from a serialised head, cached by row count, and the raw tensors: protobuf
messages concatenate.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from tritonclient.grpc import service_pb2 as pb

from contracts.records import ErrorKind
from dataplane.gateway import http2
from dataplane.gateway.http2 import GrpcError, request_block, timeout_header
from dataplane.gateway.table import Variant
from serving.validation import Row as Values

_SERVICE = "/inference.GRPCInferenceService/"
_RAW_INPUT_CONTENTS = b"\x3a"  # field 7, length-delimited
_CANCELLED, _RESOURCE_EXHAUSTED = 1, 8
_KINDS: Mapping[int, ErrorKind] = {
    http2.DEADLINE_EXCEEDED: "timeout",
    http2.UNAVAILABLE: "unavailable",
    _CANCELLED: "unavailable",
    _RESOURCE_EXHAUSTED: "unavailable",
}
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 1.0


class CallFailed(Exception):
    """A call without a usable answer, by ErrorKind."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


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

    async def call(self, name: str, message: bytes, seconds: float) -> bytes:
        """One unary call of the inference service. Raises GrpcError."""
        connection = self._connection
        if connection is None or not connection.usable:
            connection = await self._connected(seconds)
        block = self._blocks[name] + timeout_header(seconds)
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


class Channels:
    """One channel per address, shared by all models that are served there."""

    def __init__(self) -> None:
        self._open: dict[str, Channel] = {}

    def at(self, address: str) -> Channel:
        """The channel to "host:port", opened on first use. Call it on the event loop."""
        channel = self._open.get(address)
        if channel is None:
            channel = self._open[address] = Channel(address)
        return channel

    async def ready(self, entry: str, addresses: Iterable[str], seconds: float) -> bool:
        """Connect to every address; whether any has the entry loaded."""
        probes = [self.at(each).model_ready(entry, seconds) for each in addresses]
        return any(await asyncio.gather(*probes))

    async def any_live(self, addresses: Iterable[str], seconds: float) -> bool:
        """Whether any of the Tritons answers at all."""
        return any(await asyncio.gather(*(self.at(each).live(seconds) for each in addresses)))

    def close(self) -> None:
        """Close all."""
        for channel in self._open.values():
            channel.close()
        self._open.clear()


class Model:
    """One entry on the Tritons that serve it."""

    def __init__(self, variant: Variant, channels: Sequence[Channel]) -> None:
        self._spec = variant.spec
        self._schema = variant.schema
        self._channels = tuple(channels)
        self._heads: dict[int, bytes] = {}

    async def infer(self, rows: Sequence[Values], seconds: float) -> bytes:
        """The raw output tensor for `rows`, from the Triton with the fewest rows outstanding.

        Raises CallFailed.
        """
        request = self._request(rows)
        try:
            try:
                reply = await self._call(request, len(rows), seconds)
            except GrpcError as error:
                if error.status != http2.UNAVAILABLE:
                    raise
                # The connection went away under the call: predictions may be asked for twice.
                reply = await self._call(request, len(rows), seconds)
        except GrpcError as error:
            raise _call_failed(error) from error
        return _output(reply)

    async def _call(self, request: bytes, rows: int, seconds: float) -> bytes:
        channel = min(self._channels, key=_outstanding)
        channel.rows += rows
        try:
            return await channel.call("ModelInfer", request, seconds)
        finally:
            channel.rows -= rows

    def _request(self, rows: Sequence[Values]) -> bytes:
        count = len(rows)
        head = self._heads.get(count)
        if head is None:
            head = self._heads[count] = self._head(count)
        parts = [head]
        for tensor in self._schema.pack(rows):
            parts += (_RAW_INPUT_CONTENTS, _varint(len(tensor)), tensor)
        return b"".join(parts)

    def _head(self, count: int) -> bytes:
        request = pb.ModelInferRequest(model_name=self._spec.entry)
        for tensor in self._spec.schema.tensors:
            shape = (count, len(tensor.features))
            request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        request.outputs.add(name=self._spec.schema.output.tensor)
        return bytes(request.SerializeToString())


def _outstanding(channel: Channel) -> int:
    return channel.rows


def _output(reply: bytes) -> bytes:
    contents = pb.ModelInferResponse.FromString(reply).raw_output_contents
    if len(contents) != 1:
        raise CallFailed("invalid_output", f"{len(contents)} output tensors instead of one")
    return bytes(contents[0])


def _call_failed(error: GrpcError) -> CallFailed:
    """Blame: a Triton that cannot be reached is not the model's fault, an unloaded entry is."""
    kind = _KINDS.get(error.status, "model")
    if kind == "unavailable" and "unknown model" in error.detail.lower():
        kind = "model"
    return CallFailed(kind, error.detail)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
