"""The test prediction: the version's own example, over gRPC, read as the gateway reads it."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from apps.deployments.errors import TargetAway, TargetRefuses
from apps.registry.models import ModelVersion
from contracts.schema import ModelSchema
from dataplane.triton.config import warm_up_row
from serving.labels import InvalidOutput, Labeller
from serving.validation import CompiledSchema, InvalidFeatures, Row, compile_schema

TIMEOUT_S = 10.0
ROWS = 8
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def predict(address: str, *, version: ModelVersion, entry: str) -> None:
    """Ask `entry` at `address` for its example rows.

    Raises TargetAway, or TargetRefuses when it answers with an error or with no valid output.
    """
    schema = version.schema()
    rows = _rows(compile_schema(schema), version.example)
    raw = _infer(address, _request(schema, entry, rows))
    try:
        answers = Labeller(schema.output, version.labelling()).read(raw, len(rows))
    except InvalidOutput as error:
        raise TargetRefuses(f"the test prediction failed: {error}") from error
    if None in answers:
        raise TargetRefuses("the test prediction gave values that are no valid output")


def _rows(schema: CompiledSchema, example: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The logged example, or a row that the schema allows where none was logged."""
    try:
        return [schema.read(row) for row in example[:ROWS]] or [_typical(schema)]
    except InvalidFeatures as error:
        raise TargetRefuses(f"the version's example does not fit its schema: {error}") from error


def _typical(schema: CompiledSchema) -> Row:
    cells = warm_up_row(schema.schema)
    values = {
        name: cell
        for tensor in schema.schema.tensors
        for name, cell in zip(tensor.features, cells[tensor.name], strict=True)
    }
    kinds = {feature.name: feature.kind for feature in schema.schema.features}
    return schema.read({name: _as_kind(cell, kinds[name]) for name, cell in values.items()})


def _as_kind(cell: float | str | bool, kind: str) -> float | str | bool:
    if kind == "boolean":
        return bool(cell)
    return int(cell) if kind == "integer" else cell


def _request(schema: ModelSchema, entry: str, rows: list[Row]) -> Any:
    request = service_pb2.ModelInferRequest(model_name=entry)
    for tensor, raw in zip(schema.tensors, compile_schema(schema).pack(rows), strict=True):
        shape = [len(rows), len(tensor.features)]
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        request.raw_input_contents.append(raw)
    request.outputs.add(name=schema.output.tensor)
    return request


def _infer(address: str, request: Any) -> bytes:
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            answer = stub.ModelInfer(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            detail = f"the test prediction failed: {error.details()}"
            raise (TargetAway if error.code() in _AWAY else TargetRefuses)(detail) from error
    return b"".join(answer.raw_output_contents)
