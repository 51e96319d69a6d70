"""Inference requests of the Open Inference Protocol over HTTP: JSON, or JSON and binary tensors.

With the header `Inference-Header-Content-Length` the JSON ends there and the tensors that name a
`binary_data_size` follow, one behind the other.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from dataplane.gateway.coding import coded
from dataplane.gateway.http import JSON, Exchange
from dataplane.gateway.problems import FieldError, Refusal, at
from dataplane.gateway.row import Row
from dataplane.gateway.tensors import Output, Tensor, outputs_of
from dataplane.gateway.wishes import answer_parameters, require_plain
from serving.validation import MalformedJson, parse_json

BINARY = b"application/octet-stream"
HEADER = b"inference-header-content-length"


class InferInput(msgspec.Struct):
    """One input; `data` in JSON, or else `parameters.binary_data_size`."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: dict[str, Any] = {}


class InferOutput(msgspec.Struct):
    """One output that is wanted; `parameters.binary_data` says in which form."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """The JSON of a request; what it has beside these fields is not looked at."""

    inputs: list[InferInput]
    id: str = ""
    outputs: list[InferOutput] = []
    parameters: dict[str, Any] = {}


_decode = msgspec.json.Decoder(InferRequest).decode
_encode = msgspec.json.Encoder().encode


def decode_infer(exchange: Exchange) -> tuple[InferRequest, list[Tensor]]:
    """The request and its inputs. Raises Refusal 400 or 422."""
    body = exchange.body
    ends = _json_length(exchange.headers.get(HEADER), len(body))
    request = _read(body[:ends])
    require_plain(request.parameters)
    for wanted in (
        *(i.parameters for i in request.inputs),
        *(o.parameters for o in request.outputs),
    ):
        require_plain(wanted)
    return request, _tensors(request.inputs, body[ends:])


def answer_infer(exchange: Exchange, model: str, request: InferRequest, rows: list[Row]) -> None:
    """Answer with the outputs asked for, each in the form asked for. Raises Refusal 422."""
    outputs = outputs_of(rows, [each.name for each in request.outputs])
    default = request.parameters.get("binary_data_output") is True
    forms = {each.name: each.parameters.get("binary_data", default) for each in request.outputs}
    binary = [output for output in outputs if forms.get(output.name, default) is True]
    first = rows[0]
    document = {
        "model_name": model,
        "model_version": first.asked.label,
        **({"id": request.id} if request.id else {}),
        "parameters": answer_parameters(first),
        "outputs": [_described(output, output in binary) for output in outputs],
    }
    text = _encode(document)
    if binary:
        body = b"".join([text, *(output.raw for output in binary)])
        lines = b"Inference-Header-Content-Length: %d\r\n" % len(text)
    else:
        body, lines = text, b""
    body, coding = coded(exchange, body)
    content_type = BINARY if binary else JSON
    exchange.respond(200, body, content_type=content_type, headers=lines + coding)


def _json_length(header: bytes | None, whole: int) -> int:
    if header is None:
        return whole
    if not header.isdigit() or len(header) > 10 or int(header) > whole:
        raise Refusal(400, "malformed_request", "the length of the JSON is not one within the body")
    return int(header)


def _read(text: bytes) -> InferRequest:
    """Raises Refusal 400 for what is not JSON, 422 for what is no request."""
    try:
        try:
            return _decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return msgspec.convert(parse_json(text), InferRequest)  # NaN is a missing cell
    except MalformedJson as error:
        raise Refusal(400, "malformed_json", "the body is not JSON") from error
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `")
        errors = at(path.rstrip("`") or "$", detail)
        raise Refusal(422, "invalid_request", "1 field does not fit", errors=errors) from error


def _tensors(given: Sequence[InferInput], tail: bytes) -> list[Tensor]:
    """Inputs with their cells or bytes. Raises Refusal 422 unless the bytes are all used."""
    tensors: list[Tensor] = []
    errors: list[FieldError] = []
    begins = 0
    for number, each in enumerate(given):
        size = each.parameters.get("binary_data_size")
        raw = None
        if isinstance(size, int) and 0 <= size <= len(tail) - begins:
            raw = tail[begins : begins + size]
            begins += size
        elif size is not None:
            path = f"$.inputs[{number}].parameters.binary_data_size"
            errors.append(FieldError(path, "is more than the body has"))
        elif not isinstance(each.data, list):
            errors.append(FieldError(f"$.inputs[{number}].data", "must be an array"))
        tensors.append(Tensor(each.name, each.datatype, each.shape, each.data, raw))
    if not errors and begins != len(tail):
        errors.append(FieldError("$.inputs", "more bytes follow than the inputs name"))
    if errors:
        raise Refusal(422, "invalid_request", "the tensors do not fit", errors=errors)
    return tensors


def _described(output: Output, binary: bool) -> dict[str, Any]:
    known = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
    if binary:
        return {**known, "parameters": {"binary_data_size": len(output.raw)}}
    return {**known, "data": output.cells()}
