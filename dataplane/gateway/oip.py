"""The Open Inference Protocol over gRPC: `model_name` is an endpoint, the path is the same.

The unit comes in the parameter `user_id` or the metadata `x-switchyard-user`, the client key in
the metadata `authorization`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.json_format import ParseDict
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from dataplane.gateway import describe
from dataplane.gateway.clients import Key, authenticate, require_endpoint
from dataplane.gateway.decode import find_endpoint
from dataplane.gateway.endpoint import PredictPath, Question, Snapshot
from dataplane.gateway.metrics import Metrics
from dataplane.gateway.problems import Refusal
from dataplane.gateway.respond import failure_of
from dataplane.gateway.row import Row
from dataplane.gateway.table import Endpoint, Variant
from dataplane.gateway.tensors import Tensor, outputs_of, read_rows
from dataplane.gateway.trace import Trace, read
from dataplane.gateway.wishes import answer_parameters, require_plain, unit_of

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_CONTENTS = {
    **{f"INT{bits}": "int_contents" for bits in (8, 16, 32)},
    **{f"UINT{bits}": "uint_contents" for bits in (8, 16, 32)},
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
}
NOT_OFFERED = {
    "RepositoryModelLoad": "models are loaded by the control plane, not by clients",
    "RepositoryModelUnload": "models are unloaded by the control plane, not by clients",
    **{
        f"{kind}SharedMemory{verb}": "shared memory is not offered: send tensors in the request"
        for kind in ("System", "Cuda")
        for verb in ("Status", "Register", "Unregister")
    },
    "TraceSetting": "trace settings are not offered: send traceparent",
    "LogSettings": "log settings are the operator's",
}
Ready = Callable[[Endpoint, str], Awaitable[bool]]


REFUSE_S = 0.1


class InferenceService(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated
    """Health is told to everyone, the rest to clients about the endpoints that they may ask."""

    def __init__(
        self, *, path: PredictPath, snapshot: Snapshot, metrics: Metrics, ready: Ready
    ) -> None:
        self._path = path
        self._snapshot = snapshot
        self.leaving = False
        self._metrics = metrics
        self._ready = ready

    async def ServerLive(self, request: Any, context: Any) -> Any:
        """Whether this process answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """Whether a routing table is loaded."""
        return pb.ServerReadyResponse(ready=self._snapshot.table.source != "none")

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        """Who answers."""
        return ParseDict(describe.SERVER, pb.ServerMetadataResponse())

    async def ModelReady(self, request: Any, context: Any) -> Any:
        """Whether the endpoint exists and a Triton has one of its versions loaded."""
        endpoint = self._snapshot.table.endpoints.get(request.name)
        ready = endpoint is not None and await self._ready(endpoint, request.version)
        return pb.ModelReadyResponse(ready=ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        """Tensors of the version asked for, or of the endpoint's first variant."""
        endpoint, variant = await self._described(request, context)
        return ParseDict(describe.metadata(endpoint, variant), pb.ModelMetadataResponse())

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        """The same with limits and batching."""
        endpoint, variant = await self._described(request, context)
        return ParseDict({"config": describe.config(endpoint, variant)}, pb.ModelConfigResponse())

    async def ModelStatistics(self, request: Any, context: Any) -> Any:
        """What this gateway has answered, of one model or of all that the client may ask."""
        try:
            key = self._key(context)
            table = self._snapshot.table
            endpoints = describe.allowed(table, key)
            if request.name:
                endpoints = [self._endpoint(key, request.name)]
            found = describe.statistics(endpoints, request.version, self._metrics)
        except Refusal as refusal:
            await _abort(context, refusal)
        return ParseDict(found, pb.ModelStatisticsResponse())

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        """The models that the client may ask."""
        try:
            found = describe.index(self._snapshot.table, self._key(context))
        except Refusal as refusal:
            await _abort(context, refusal)
        return ParseDict({"models": found}, pb.RepositoryIndexResponse())

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Predict all rows of the request as one unit; fails as a whole with its first failure."""
        if self.leaving:
            await _abort(context, Refusal(503, "shutting_down", "the gateway is shutting down"))
        metadata = dict(context.invocation_metadata() or ())
        try:
            _require_plain(request)
            parameters = {name: _parameter(value) for name, value in request.parameters.items()}
            question = Question(
                model=request.model_name,
                user_id=unit_of(parameters, str(metadata.get("x-switchyard-user", ""))),
                version=request.model_version or None,
                timeout_s=context.time_remaining(),
                size=request.ByteSize(),
                trace=_trace(metadata),
            )
        except Refusal as refusal:
            self._path.reject(refusal)
            await _abort(context, refusal)

        def read(variant: Variant) -> Any:
            return read_rows(_tensors(request), variant)

        try:
            rows = await self._path.predict_rows(_authorization(context), question, read)
            failed = next((row for row in rows if row.answer is None), None)
            if failed is not None:
                raise failure_of(failed)
            return _response(request, rows)
        except Refusal as refusal:
            await _abort(context, refusal)

    async def ModelStreamInfer(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        """Refused."""
        detail = "streaming is not offered: ask ModelInfer once for each answer"
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, detail)
        yield None

    def _key(self, context: Any) -> Key:
        return authenticate(self._snapshot.clients, _authorization(context))

    def _endpoint(self, key: Key, name: str) -> Endpoint:
        endpoint = find_endpoint(self._snapshot.table, name)
        require_endpoint(key, name)
        return endpoint

    async def _described(self, request: Any, context: Any) -> tuple[Endpoint, Variant]:
        try:
            endpoint = self._endpoint(self._key(context), request.name)
            return endpoint, describe.described(endpoint, request.version)
        except Refusal as refusal:
            await _abort(context, refusal)


def _not_offered(detail: str) -> Callable[[Any, Any, Any], Awaitable[None]]:
    async def refuse(self: InferenceService, request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, detail)

    return refuse


for _name, _detail in NOT_OFFERED.items():
    setattr(InferenceService, _name, _not_offered(_detail))


class Server:
    """A started server."""

    def __init__(self, server: Any, service: InferenceService) -> None:
        self._server = server
        self._service = service

    async def stop(self, seconds: float) -> None:
        """Answer the calls that were taken in, within `seconds`, and close.

        New ones are refused as UNAVAILABLE first: of those that come while it closes, the library
        cancels some, which tells a client less.
        """
        self._service.leaving = True
        await asyncio.sleep(min(REFUSE_S, seconds))
        await self._server.stop(seconds)


async def serve(
    address: str,
    *,
    path: PredictPath,
    snapshot: Snapshot,
    metrics: Metrics,
    ready: Ready,
    shared: bool = False,
) -> Server:
    """Listen on "host:port"; `shared` with other processes.

    Raises RuntimeError when the port is taken.
    """
    server = grpc.aio.server(options=(("grpc.so_reuseport", int(shared)),))
    service = InferenceService(path=path, snapshot=snapshot, metrics=metrics, ready=ready)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(address)
    await server.start()
    return Server(server, service)


def _trace(metadata: Mapping[str, Any]) -> Trace | None:
    """The caller's trace, which nearly nobody sends."""
    if "traceparent" not in metadata:
        return None
    names = ("traceparent", "tracestate")
    return read({each.encode(): str(metadata.get(each, "")).encode() for each in names})


def _authorization(context: Any) -> bytes:
    metadata = dict(context.invocation_metadata() or ())
    return str(metadata.get("authorization", "")).encode()


def _parameter(value: Any) -> object:
    kind = value.WhichOneof("parameter_choice")
    return getattr(value, kind) if kind else None


def _require_plain(request: Any) -> None:
    for tensors in (request.inputs, request.outputs):
        require_plain({name for tensor in tensors for name in tensor.parameters})
    require_plain(set(request.parameters))


def _tensors(request: Any) -> list[Tensor]:
    """The request's inputs. Raises Refusal 422 when their contents are not one for each."""
    raw = list(request.raw_input_contents) or [None] * len(request.inputs)
    if len(raw) != len(request.inputs):
        detail = "raw_input_contents must have one entry per input"
        raise Refusal(422, "invalid_request", detail)
    return [
        Tensor(
            name=each.name,
            datatype=each.datatype,
            shape=list(each.shape),
            cells=None if data is not None else _cells(each),
            raw=data,
        )
        for each, data in zip(request.inputs, raw, strict=True)
    ]


def _cells(given: Any) -> list[object]:
    return list(getattr(given.contents, _CONTENTS.get(given.datatype, "bytes_contents")))


async def _abort(context: Any, refusal: Refusal) -> NoReturn:
    code = _CODES.get(refusal.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, refusal.summary())
    raise AssertionError("abort does not return")


def _response(request: Any, rows: list[Row]) -> Any:
    first = rows[0]
    response = pb.ModelInferResponse(
        model_name=request.model_name, model_version=first.asked.label, id=request.id
    )
    for output in outputs_of(rows, [each.name for each in request.outputs]):
        response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        response.raw_output_contents.append(output.raw)
    for name, value in answer_parameters(first).items():
        kind = "int64_param" if isinstance(value, int) else "string_param"
        setattr(response.parameters[name], kind, value)
    return response
