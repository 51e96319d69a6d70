"""Step 5 of the request path: one batched gRPC call to Triton.

Requests are assembled from a serialised head, cached by row count, and the raw tensors: protobuf
messages concatenate.
"""

import asyncio
from collections.abc import Iterable, Sequence

import grpc
from tritonclient.grpc import service_pb2 as pb

from contracts.records import ErrorKind
from dataplane.gateway.table import Variant
from serving.validation import Row as Values

_SERVICE = "/inference.GRPCInferenceService/"
_RAW_INPUT_CONTENTS = b"\x3a"  # field 7, length-delimited
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),  # also what connecting may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
)
_KINDS: dict[grpc.StatusCode, ErrorKind] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.CANCELLED: "unavailable",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "unavailable",
}


class CallFailed(Exception):
    """A call without a usable answer, by ErrorKind."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Channel:
    """One connection to one Triton. `rows` counts what is outstanding there."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.rows = 0
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self.infer = self._channel.unary_unary(_SERVICE + "ModelInfer")
        self._model_ready = self._channel.unary_unary(
            _SERVICE + "ModelReady",
            request_serializer=pb.ModelReadyRequest.SerializeToString,
            response_deserializer=pb.ModelReadyResponse.FromString,
        )
        self._server_live = self._channel.unary_unary(
            _SERVICE + "ServerLive",
            request_serializer=pb.ServerLiveRequest.SerializeToString,
            response_deserializer=pb.ServerLiveResponse.FromString,
        )

    async def model_ready(self, entry: str, seconds: float) -> bool:
        """Connect, if need be, and ask whether the entry is loaded."""
        try:
            request = pb.ModelReadyRequest(name=entry)
            reply = await self._model_ready(request, timeout=seconds, wait_for_ready=True)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.ready)

    async def live(self, seconds: float) -> bool:
        """Whether the server answers."""
        try:
            reply = await self._server_live(pb.ServerLiveRequest(), timeout=seconds)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.live)

    async def close(self) -> None:
        await self._channel.close()


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

    async def close(self) -> None:
        """Close all."""
        for channel in self._open.values():
            await channel.close()
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
        channel = min(self._channels, key=_outstanding)
        channel.rows += len(rows)
        try:
            reply = await channel.infer(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise _call_failed(error) from error
        finally:
            channel.rows -= len(rows)
        return _output(reply)

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


def _call_failed(error: grpc.aio.AioRpcError) -> CallFailed:
    """Blame: a Triton that cannot be reached is not the model's fault, an unloaded entry is."""
    detail = error.details() or ""
    kind = _KINDS.get(error.code(), "model")
    if kind == "unavailable" and "unknown model" in detail.lower():
        kind = "model"
    return CallFailed(kind, detail)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
