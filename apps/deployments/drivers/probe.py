"""The test prediction and the test explanation, of the version's own example, over gRPC.

The prediction is read as the gateway reads it; an explainer checks its own sum.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from django.conf import settings
from tritonclient.grpc import service_pb2, service_pb2_grpc

from apps.deployments.errors import TargetAway, TargetRefuses
from apps.registry.models import ModelVersion
from contracts.addresses import parse_address
from contracts.schema import ModelSchema
from dataplane.triton.config import typical_row
from dataplane.triton.explainer import CLASS_INPUT, PREDICTED_CLASS
from serving.labels import InvalidOutput, Labeller
from serving.validation import CompiledSchema, InvalidFeatures, Row, compile_schema

TIMEOUT_S = 10.0
# An explainer gives way to everything on its machine: no worker waits for it, it is asked again.
EXPLAIN_TIMEOUT_S = 2.0
ROWS = 8
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def predict(address: str, *, version: ModelVersion, entry: str) -> None:
    """Ask `entry` at `address` for its example rows.

    Raises TargetAway, or TargetRefuses when it answers with an error or with no valid output.
    """
    schema = version.schema()
    rows = _rows(compile_schema(schema), version.example)
    raw = _infer(address, _request(schema, entry, rows), "prediction", TIMEOUT_S)
    try:
        answers = Labeller(schema.output, version.labelling()).read(raw, len(rows))
    except InvalidOutput as error:
        raise TargetRefuses(f"the test prediction failed: {error}") from error
    if None in answers:
        raise TargetRefuses("the test prediction gave values that are no valid output")


def explain(address: str, *, version: ModelVersion, entry: str) -> None:
    """Ask the explainer `entry` at `address` for one example row. Raises TargetAway, TargetRefuses.

    Its contributions are not looked at: it answers with an error where they do not add up.
    """
    schema = version.schema()
    request = _request(schema, entry, _rows(compile_schema(schema), version.example)[:1])
    request.inputs.add(name=CLASS_INPUT, datatype="INT64", shape=[1, 1])
    request.raw_input_contents.append(PREDICTED_CLASS)
    del request.outputs[:]
    _infer(address, request, "explanation", EXPLAIN_TIMEOUT_S)


def _rows(schema: CompiledSchema, example: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The logged example, or a row that the schema allows where none was logged."""
    given = example[:ROWS] or [typical_row(schema.schema)]
    try:
        return [schema.read(row) for row in given]
    except InvalidFeatures as error:
        raise TargetRefuses(f"the version's example does not fit its schema: {error}") from error


def _request(schema: ModelSchema, entry: str, rows: list[Row]) -> Any:
    request = service_pb2.ModelInferRequest(model_name=entry)
    for tensor, raw in zip(schema.tensors, compile_schema(schema).pack(rows), strict=True):
        shape = [len(rows), len(tensor.features)]
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        request.raw_input_contents.append(raw)
    request.outputs.add(name=schema.output.tensor)
    return request


def _channel(address: str) -> grpc.Channel:
    """Raises TargetRefuses for an address, or files of TLS, that cannot be used."""
    try:
        place = parse_address(address)
        if not place.is_secure:
            return grpc.insecure_channel(place.authority)
        config = settings.CONFIG
        files = (config.triton_ca, config.triton_key, config.triton_cert)
        found = [None if each is None else each.read_bytes() for each in files]
        return grpc.secure_channel(place.authority, grpc.ssl_channel_credentials(*found))
    except (OSError, ValueError) as error:
        raise TargetRefuses(f"{address} cannot be called: {error}") from error


def _infer(address: str, request: Any, what: str, seconds: float) -> bytes:
    with _channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            answer = stub.ModelInfer(request, timeout=seconds)
        except grpc.RpcError as error:
            detail = f"the test {what} failed: {error.details()}"
            raise (TargetAway if error.code() in _AWAY else TargetRefuses)(detail) from error
    return b"".join(answer.raw_output_contents)
