"""Step 5 of the request path: one batched gRPC call to Triton.

Requests are assembled from a serialised head, cached by row count, and the raw tensors: protobuf
messages concatenate.
"""

import asyncio
from collections.abc import Mapping, Sequence

from tritonclient.grpc import service_pb2 as pb

from contracts.records import ErrorKind
from dataplane.gateway import http2
from dataplane.gateway.http2 import GrpcError, varint
from dataplane.gateway.replicas import Replica, is_missing
from dataplane.gateway.table import Variant
from serving.validation import Row as Values

_RAW_INPUT_CONTENTS = b"\x3a"  # field 7, length-delimited
_CANCELLED, _RESOURCE_EXHAUSTED = 1, 8
_KINDS: Mapping[int, ErrorKind] = {
    http2.DEADLINE_EXCEEDED: "timeout",
    http2.UNAVAILABLE: "unavailable",
    _CANCELLED: "unavailable",
    _RESOURCE_EXHAUSTED: "unavailable",
}


class CallFailed(Exception):
    """A call without a usable answer, by ErrorKind."""

    def __init__(self, kind: ErrorKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class Model:
    """One entry on the Tritons that serve it."""

    def __init__(self, variant: Variant, replicas: Sequence[Replica]) -> None:
        self._spec = variant.spec
        self._schema = variant.schema
        self._replicas = tuple(replicas)
        self._turn = 0
        self._heads: dict[int, bytes] = {}
        self._loop = asyncio.get_running_loop()

    async def infer(self, rows: Sequence[Values], seconds: float, metadata: bytes = b"") -> bytes:
        """The raw output tensor for `rows`, from the Triton with the fewest rows outstanding.

        Predictions may be asked for twice: where a Triton goes away under the call, another is
        asked within the same `seconds`, or it itself once more, over a new connection, where
        there is no other. With all of them out it fails at once. Raises CallFailed.
        """
        request = self._request(rows)
        try:
            reply = await self._ask(request, len(rows), seconds, metadata)
        except GrpcError as error:
            raise _call_failed(error) from error
        return _output(reply)

    async def _ask(self, request: bytes, rows: int, seconds: float, metadata: bytes) -> bytes:
        ends = self._loop.time() + seconds
        tried: tuple[Replica, ...] = ()
        failure: GrpcError | None = None
        while seconds > 0 and (replica := self._next(tried)) is not None:
            try:
                return await replica.infer(request, rows, seconds, metadata)
            except GrpcError as error:
                if error.status != http2.UNAVAILABLE:
                    raise
                failure, tried = error, (*tried, replica)
                seconds = ends - self._loop.time()
        raise failure or self._all_out()

    def _next(self, tried: tuple[Replica, ...]) -> Replica | None:
        """Of those that serve and were not tried, the least busy; equals take turns."""
        self._turn += 1
        best, count = None, len(self._replicas)
        for number in range(count):
            each = self._replicas[(self._turn + number) % count]
            if each.health.state != "serving" or each in tried:
                continue
            if best is None or each.channel.rows < best.channel.rows:
                best = each
        return tried[0] if best is None and len(tried) == 1 else best

    def _all_out(self) -> GrpcError:
        """No replica serves: the version's own fault where all of them say that it is not there."""
        if all(each.missing for each in self._replicas):
            return GrpcError(http2.UNAVAILABLE, f"unknown model: {self._spec.entry} is not loaded")
        return GrpcError(http2.UNAVAILABLE, f"no replica of {self._spec.entry} answers")

    def _request(self, rows: Sequence[Values]) -> bytes:
        count = len(rows)
        head = self._heads.get(count)
        if head is None:
            head = self._heads[count] = self._head(count)
        parts = [head]
        for tensor in self._schema.pack(rows):
            parts += (_RAW_INPUT_CONTENTS, varint(len(tensor)), tensor)
        return b"".join(parts)

    def _head(self, count: int) -> bytes:
        request = pb.ModelInferRequest(model_name=self._spec.entry)
        for tensor in self._spec.schema.tensors:
            shape = (count, len(tensor.features))
            request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        request.outputs.add(name=self._spec.schema.output.tensor)
        return bytes(request.SerializeToString())


def _output(reply: bytes) -> bytes:
    contents = pb.ModelInferResponse.FromString(reply).raw_output_contents
    if len(contents) != 1:
        raise CallFailed("invalid_output", f"{len(contents)} output tensors instead of one")
    return bytes(contents[0])


def _call_failed(error: GrpcError) -> CallFailed:
    """Blame: a Triton that cannot be reached is not the model's fault, an unloaded entry is."""
    kind = _KINDS.get(error.status, "model")
    if kind == "unavailable" and is_missing(error):
        kind = "model"
    return CallFailed(kind, error.detail)
