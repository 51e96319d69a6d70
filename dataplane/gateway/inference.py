"""One inference as Triton takes it, before any protocol; and as each protocol writes it.

A form is what all requests for so many rows of an entry have in common. It is written once per
protocol; a request is then that and its raw tensors, one behind the other.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from tritonclient.grpc import service_pb2 as pb

from dataplane.gateway import errors
from dataplane.gateway.errors import TritonError

Outputs = Mapping[str, bytes]
Headers = Sequence[tuple[bytes, bytes]]

_RAW_INPUT_CONTENTS = b"\x3a"  # field 7, length-delimited
_STATUSES = {
    400: errors.INVALID_ARGUMENT,
    404: errors.NOT_FOUND,
    429: errors.RESOURCE_EXHAUSTED,
    499: errors.CANCELLED,
    500: errors.INTERNAL,
    501: errors.UNIMPLEMENTED,
    502: errors.UNAVAILABLE,
    503: errors.UNAVAILABLE,
    504: errors.UNAVAILABLE,
}


class Input(NamedTuple):
    """`shape` is `[rows, ...]`."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Form:
    """What is asked of `entry`, without values; `outputs` are the names of what is wanted."""

    def __init__(self, entry: str, inputs: Sequence[Input], outputs: Sequence[str]) -> None:
        self.entry = entry
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    @cached_property
    def message(self) -> bytes:
        """The head of the protobuf message: messages concatenate."""
        request = pb.ModelInferRequest(model_name=self.entry)
        for each in self.inputs:
            request.inputs.add(name=each.name, datatype=each.datatype, shape=each.shape)
        for name in self.outputs:
            request.outputs.add(name=name)
        return bytes(request.SerializeToString())

    @cached_property
    def document(self) -> bytes:
        """The JSON of the binary tensor extension, with a `%d` for the size of each tensor."""
        inputs = [
            b'{"name":%b,"datatype":%b,"shape":%b,"parameters":{"binary_data_size":%%d}}'
            % (_json(each.name), _json(each.datatype), _json(each.shape))
            for each in self.inputs
        ]
        outputs = [
            b'{"name":%b,"parameters":{"binary_data":true}}' % _json(name) for name in self.outputs
        ]
        return b'{"inputs":[%b],"outputs":[%b]}' % (b",".join(inputs), b",".join(outputs))

    @cached_property
    def line(self) -> bytes:
        """The request line and the headers that never change, up to the length of the JSON."""
        return (
            b"POST /v2/models/%b/infer HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
            b"Inference-Header-Content-Length: " % quote(self.entry, safe="").encode()
        )


class Request(NamedTuple):
    """A form and the raw tensors of its inputs, in their order."""

    form: Form
    tensors: Sequence[bytes]


class _Parameters(msgspec.Struct):
    binary_data_size: int


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters


class _Reply(msgspec.Struct):
    outputs: list[_Output]


class _Fault(msgspec.Struct):
    error: str


_read_reply = msgspec.json.Decoder(_Reply).decode
_read_fault = msgspec.json.Decoder(_Fault).decode


def grpc_request(request: Request) -> bytes:
    """A serialised ModelInferRequest."""
    parts = [request.form.message]
    for tensor in request.tensors:
        parts += (_RAW_INPUT_CONTENTS, varint(len(tensor)), tensor)
    return b"".join(parts)


def grpc_outputs(reply: bytes) -> Outputs:
    """The raw outputs of a ModelInferResponse by name."""
    response = pb.ModelInferResponse.FromString(reply)
    names = [output.name for output in response.outputs]
    return dict(zip(names, response.raw_output_contents, strict=False))


def http_request(request: Request, host: bytes, headers: Headers) -> bytes:
    """The whole HTTP/1.1 request; `host` is a complete header line."""
    form, tensors = request
    document = form.document % tuple(map(len, tensors))
    body = b"".join((document, *tensors))
    more = b"".join(b"%b: %b\r\n" % each for each in headers) if headers else b""
    return b"%b%d\r\n%bContent-Length: %d\r\n%b\r\n%b" % (
        form.line,
        len(document),
        host,
        len(body),
        more,
        body,
    )


def http_outputs(status: int, length: int, body: bytes) -> Outputs:
    """The raw outputs of an answer whose JSON has `length` bytes. Raises TritonError."""
    if status != 200:
        raise _fault(status, body)
    try:
        described = _read_reply(body[:length]).outputs
    except (msgspec.DecodeError, ValueError) as error:
        raise TritonError(errors.UNKNOWN, "the answer has no binary outputs") from error
    outputs, at = {}, length
    for each in described:
        outputs[each.name] = body[at : at + each.parameters.binary_data_size]
        at += each.parameters.binary_data_size
    if at != len(body):
        raise TritonError(errors.UNKNOWN, "the answer is not as long as it says")
    return outputs


def _fault(status: int, body: bytes) -> TritonError:
    try:
        words = _read_fault(body).error
    except (msgspec.DecodeError, ValueError):
        words = f"HTTP status {status}"
    if is_missing(words):
        return TritonError(errors.UNAVAILABLE, words)
    return TritonError(_STATUSES.get(status, errors.UNKNOWN), words)


def is_missing(words: str) -> bool:
    """Whether a Triton says that it does not have the entry."""
    return "unknown model" in words.lower()


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first, as HPACK and protobuf write numbers."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _json(value: object) -> bytes:
    """JSON in which nothing is taken for a place of a number."""
    return msgspec.json.encode(value).replace(b"%", b"%%")
