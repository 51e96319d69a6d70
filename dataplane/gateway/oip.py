"""The Open Inference Protocol over gRPC: `model_name` is an endpoint, the path is the same.

The unit comes in the parameter `user_id`, the client key in the metadata `authorization`.
"""

from typing import Any, NoReturn

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from contracts.schema import OutputSpec, TensorSpec
from dataplane.gateway.decode import find_endpoint
from dataplane.gateway.endpoint import PredictPath, Question, Snapshot
from dataplane.gateway.problems import Refusal
from dataplane.gateway.respond import failure_of
from dataplane.gateway.row import Row
from dataplane.gateway.table import Endpoint, Variant
from dataplane.gateway.tensors import joined_output, read_rows

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


class InferenceService(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated
    """What is not overridden answers UNIMPLEMENTED, streaming included."""

    def __init__(self, *, path: PredictPath, snapshot: Snapshot) -> None:
        self._path = path
        self._snapshot = snapshot

    async def ServerLive(self, request: Any, context: Any) -> Any:
        """Whether this process answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """Whether a routing table is loaded."""
        return pb.ServerReadyResponse(ready=self._snapshot.table.source != "none")

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        """Who answers."""
        return pb.ServerMetadataResponse(name="switchyard", version="1", extensions=[])

    async def ModelReady(self, request: Any, context: Any) -> Any:
        """Whether the endpoint exists."""
        return pb.ModelReadyResponse(ready=request.name in self._snapshot.table.endpoints)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        """Tensors of the endpoint, as its first variant takes and gives them."""
        try:
            endpoint = find_endpoint(self._snapshot.table, request.name)
        except Refusal as refusal:
            await _abort(context, refusal)
        return _metadata(endpoint)

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Predict all rows of the request as one unit; fails as a whole with its first failure."""
        question = Question(
            model=request.model_name,
            user_id=_parameter(request, "user_id"),
            version=request.model_version or None,
            timeout_s=context.time_remaining(),
        )

        def read(variant: Variant) -> Any:
            return read_rows(request, variant)

        try:
            rows = await self._path.predict_rows(_authorization(context), question, read)
        except Refusal as refusal:
            await _abort(context, refusal)
        failed = next((row for row in rows if row.answer is None), None)
        if failed is not None:
            await _abort(context, failure_of(failed))
        return _response(request, rows)


async def serve(
    address: str, *, path: PredictPath, snapshot: Snapshot, shared: bool = False
) -> Any:
    """A started server on "host:port"; `shared` with other processes.

    Raises RuntimeError when the port is taken.
    """
    server = grpc.aio.server(options=(("grpc.so_reuseport", int(shared)),))
    service = InferenceService(path=path, snapshot=snapshot)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    server.add_insecure_port(address)
    await server.start()
    return server


def _authorization(context: Any) -> bytes:
    metadata = dict(context.invocation_metadata() or ())
    return str(metadata.get("authorization", "")).encode()


def _parameter(request: Any, name: str) -> str | int | None:
    if name not in request.parameters:
        return None
    value = request.parameters[name]
    found: str | int = getattr(value, value.WhichOneof("parameter_choice"))
    return found


async def _abort(context: Any, refusal: Refusal) -> NoReturn:
    detail = "; ".join(f"{error.path}: {error.detail}" for error in refusal.errors)
    code = _CODES.get(refusal.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, detail or refusal.detail)
    raise AssertionError("abort does not return")


def _response(request: Any, rows: list[Row]) -> Any:
    first = rows[0]
    output = first.variant.spec.schema.output
    response = pb.ModelInferResponse(
        model_name=request.model_name, model_version=first.asked.label, id=request.id
    )
    response.outputs.add(
        name=output.tensor, datatype=output.datatype, shape=[len(rows), output.width]
    )
    response.raw_output_contents.append(joined_output(rows))
    response.parameters["prediction_id"].string_param = first.prediction_id
    response.parameters["variant"].string_param = first.asked.key
    response.parameters["generation"].int64_param = first.generation
    response.parameters["cache_hit"].bool_param = first.cache_hit
    response.parameters["fallback"].string_param = first.fallback
    if first.answer is not None:
        response.parameters["label"].string_param = first.answer.label
    return response


def _metadata(endpoint: Endpoint) -> Any:
    spec = endpoint.variants[0].spec
    return pb.ModelMetadataResponse(
        name=endpoint.spec.name,
        versions=sorted({variant.label for variant in endpoint.variants}),
        platform="switchyard",
        inputs=[_input(tensor) for tensor in spec.schema.tensors],
        outputs=[_output(spec.schema.output)],
    )


def _input(tensor: TensorSpec) -> Any:
    shape = [-1, len(tensor.features)]
    return pb.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=shape
    )


def _output(output: OutputSpec) -> Any:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=output.tensor, datatype=output.datatype, shape=[-1, output.width]
    )
