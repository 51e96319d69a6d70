"""What an ONNX file takes and gives, read from its bytes without loading its weights.

Walks protobuf's wire format and seeks over the weights, so that a file of many gigabytes costs
kilobytes. Nothing in the file is executed. Field numbers are those of onnx.proto.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from onnx import TensorShapeProto

GRAPH = 7
NODE, INITIALIZER, INPUT, OUTPUT, SPARSE_INITIALIZER = 1, 5, 11, 12, 15
TENSOR_NAME, EXTERNAL_DATA = 8, 13
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_DESCRIPTION = 64 * 1024
MAX_PORTS = 2_000
# TensorProto.DataType, by Triton's names.
DATATYPES: Mapping[int, str] = {1: "FP32", 7: "INT64", 8: "BYTES", 9: "BOOL", 11: "FP64"}


class NotOnnx(ValueError):
    """The bytes are no ONNX model, or one that is not taken; the message says why."""


@dataclass(frozen=True)
class Port:
    """One input or output. `shape` has None where the size is free; `datatype` is Triton's name."""

    name: str
    datatype: str
    shape: tuple[int | None, ...]

    @property
    def width(self) -> int | None:
        """Columns of a `[rows, columns]` tensor, None when free or of another rank."""
        return self.shape[1] if len(self.shape) == 2 else None


@dataclass(frozen=True)
class Graph:
    """Inputs (weights excepted) and outputs, in the file's order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True)
class _Field:
    number: int
    kind: int
    start: int
    stop: int


def read_graph(file: BinaryIO, *, size: int) -> Graph:
    """Inputs and outputs of the model in `file`, `size` bytes long. Raises NotOnnx."""
    graphs = [f for f in _fields(file, 0, size) if f.number == GRAPH and f.kind == BYTES]
    if len(graphs) != 1:
        raise NotOnnx("the file holds no ONNX graph")
    inputs: list[Port] = []
    outputs: list[Port] = []
    weights: set[str] = set()
    for field in _fields(file, graphs[0].start, graphs[0].stop):
        if field.number == INITIALIZER:
            weights.add(_weight(file, field))
        elif field.number in (INPUT, OUTPUT):
            (inputs if field.number == INPUT else outputs).append(_port(file, field))
    if len(inputs) + len(outputs) > MAX_PORTS + len(weights):
        raise NotOnnx(f"the graph has more than {MAX_PORTS} inputs and outputs")
    return Graph(tuple(port for port in inputs if port.name not in weights), tuple(outputs))


def _fields(file: BinaryIO, start: int, stop: int) -> Iterator[_Field]:
    at = start
    while at < stop:
        file.seek(at)
        tag = _varint(file)
        number, kind = tag >> 3, tag & 7
        length = _length(file, kind)
        begin = file.tell()
        at = begin + length
        if at > stop or number == 0:
            raise NotOnnx("the file is cut short or is no protobuf")
        yield _Field(number, kind, begin, at)


def _length(file: BinaryIO, kind: int) -> int:
    if kind == BYTES:
        return _varint(file)
    if kind == VARINT:
        here = file.tell()
        _varint(file)
        length = file.tell() - here
        file.seek(here)
        return length
    fixed = {FIXED64: 8, FIXED32: 4}.get(kind)
    if fixed is None:
        raise NotOnnx("the file is no protobuf")
    return fixed


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise NotOnnx("the file is cut short or is no protobuf")


def _weight(file: BinaryIO, tensor: _Field) -> str:
    name = ""
    for field in _fields(file, tensor.start, tensor.stop):
        if field.number == EXTERNAL_DATA:
            raise NotOnnx("the weights lie in other files: save the model as one file")
        if field.number == TENSOR_NAME:
            name = _bytes(file, field).decode(errors="replace")
    return name


def _bytes(file: BinaryIO, field: _Field) -> bytes:
    if field.stop - field.start > MAX_DESCRIPTION:
        raise NotOnnx("a name or a type in the graph is too long")
    file.seek(field.start)
    return file.read(field.stop - field.start)


def _port(file: BinaryIO, field: _Field) -> Port:
    # Imported on first use: every Django process comes by here, and few ever read a graph.
    from onnx import ValueInfoProto

    try:
        info = ValueInfoProto.FromString(_bytes(file, field))
    except DecodeError as error:
        raise NotOnnx("an input or output of the graph cannot be read") from error
    if not info.type.HasField("tensor_type"):
        raise NotOnnx(f"{info.name!r} is not a tensor (export classifiers with zipmap off)")
    tensor = info.type.tensor_type
    return Port(info.name, _datatype(tensor.elem_type), tuple(_sizes(tensor.shape)))


def _datatype(element: int) -> str:
    from onnx import TensorProto

    names = {number: name for name, number in TensorProto.DataType.items()}
    return DATATYPES.get(element) or names.get(element, f"type {element}")


def _sizes(shape: "TensorShapeProto") -> Iterator[int | None]:
    for dimension in shape.dim:
        yield dimension.dim_value if dimension.WhichOneof("value") == "dim_value" else None
