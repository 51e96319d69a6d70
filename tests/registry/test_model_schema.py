"""From signature and graph to schema."""

from typing import Any

import pytest

from apps.registry.model_schema import Mismatch, build_schema, columns_of, label_fault
from apps.registry.onnx_graph import Graph, Port
from contracts.schema import OutputSpec

NUMERIC = Port("numeric", "FP32", (None, 2))
CARRIER = Port("carrier", "BYTES", (None, 1))
ANSWER = Port("probabilities", "FP32", (None, 2))


def column(name: str, kind: str = "double", *, required: bool = True) -> dict[str, Any]:
    return {"type": kind, "name": name, "required": required}


COLUMNS = [column("distance"), column("carrier", "string"), column("wind", "float")]


def schema_of(
    inputs: list[dict[str, Any]],
    ports: tuple[Port, ...],
    outputs: tuple[Port, ...] = (ANSWER,),
    **labels: str,
) -> Any:
    return build_schema({"inputs": inputs}, Graph(ports, outputs), labels=labels)


def test_schema__one_input_left__takes_the_remaining_columns_in_order() -> None:
    schema = schema_of(COLUMNS, (CARRIER, NUMERIC))
    assert [feature.name for feature in schema.features] == ["distance", "carrier", "wind"]
    assert [(t.name, t.features) for t in schema.tensors] == [
        ("carrier", ("carrier",)),
        ("numeric", ("distance", "wind")),
    ]


def test_schema__every_input_a_column__each_its_own() -> None:
    ports = (Port("wind", "FP32", (None, 1)), Port("month", "INT64", (None, 1)))
    schema = schema_of([column("month", "long"), column("wind")], ports)
    assert [tensor.features for tensor in schema.tensors] == [("wind",), ("month",)]


def test_schema__optional_column__may_be_missing_or_null() -> None:
    schema = schema_of([column("a"), column("b", required=False)], (NUMERIC,))
    assert [(f.required, f.nullable) for f in schema.features] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("inputs", "ports", "words"),
    [
        ([column("a")], (NUMERIC,), "'numeric' has 2 columns.*: a"),
        ([column("carrier"), column("a"), column("b")], (CARRIER, NUMERIC), "'carrier' is float"),
        ([*COLUMNS, column("humid")], (CARRIER,), "'distance' of the signature is no input"),
        (COLUMNS, (Port("x", "FP32", (None, 2)), NUMERIC), "'x', 'numeric'"),
        ([column("carrier", "string")], (CARRIER, NUMERIC), "'numeric' of the model is no column"),
        (COLUMNS, (CARRIER, Port("numeric", "FLOAT16", (None, 2))), "type FLOAT16"),
        (COLUMNS, (CARRIER, Port("numeric", "FP32", (None,))), "rank 1"),
        ([column("a", "datetime")], (NUMERIC,), "column 'a' has type 'datetime'"),
        ([column("a"), column("a")], (NUMERIC,), "'a' appears twice"),
        ([column("a"), column("b")], (Port("n", "INT64", (None, 2)),), "'a' would lose"),
        ([], (NUMERIC,), "without an input signature"),
    ],
)
def test_schema__mismatch__names_what_is_wrong(
    inputs: list[dict[str, Any]], ports: tuple[Port, ...], words: str
) -> None:
    with pytest.raises(Mismatch, match=words):
        schema_of(inputs, ports)


@pytest.mark.parametrize(
    ("outputs", "labels", "kind"),
    [
        ((ANSWER,), {}, "binary"),
        ((Port("label", "INT64", (None,)), ANSWER), {}, "binary"),
        ((Port("p", "FP64", (None, 1)),), {"a": "b"}, "binary"),
        ((Port("p", "FP32", (None, 1)),), {}, "regression"),
        ((Port("probabilities", "FP32", (None, 5)),), {}, "multiclass"),
    ],
)
def test_output__of_each_shape__its_kind(
    outputs: tuple[Port, ...], labels: dict[str, str], kind: str
) -> None:
    assert schema_of([column("a"), column("b")], (NUMERIC,), outputs, **labels).output.kind == kind


@pytest.mark.parametrize(
    "outputs",
    [
        (Port("a", "FP32", (None, 2)), Port("b", "FP32", (None, 2))),
        (Port("label", "INT64", (None, 1)),),
        (Port("values", "FP32", (None, 3)),),
        (Port("probabilities", "FP32", (None, None)),),
    ],
)
def test_output__not_clear__refused(outputs: tuple[Port, ...]) -> None:
    with pytest.raises(Mismatch):
        schema_of([column("a"), column("b")], (NUMERIC,), outputs)


def test_output__free_width__taken_from_the_signature() -> None:
    logged = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}
    signature = {"inputs": [column("a"), column("b")], "outputs": [logged]}
    graph = Graph((NUMERIC,), (Port("probabilities", "FP32", (None, None)),))
    assert build_schema(signature, graph, labels={}).output.width == 2


def test_columns__unnamed_tensor__numbered_features() -> None:
    entry = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}
    assert [c.name for c in columns_of([entry])] == ["feature_0", "feature_1", "feature_2"]


@pytest.mark.parametrize(
    ("labels", "right"),
    [
        ({"0": "no", "1": "yes"}, True),
        ({}, True),
        ({"0": "no"}, False),
        ({"0": "no", "1": "no"}, False),
        ({"0": "no", "1": ""}, False),
        ({"no": "0", "yes": "1"}, False),
        ({"0": "a", "1": "b", "2": "c"}, False),
    ],
)
def test_labels__of_a_binary_output__exactly_its_classes(
    labels: dict[str, str], right: bool
) -> None:
    assert (label_fault(labels, OutputSpec(tensor="p")) is None) is right


def test_labels__of_a_regression__refused() -> None:
    output = OutputSpec(tensor="p", kind="regression", width=1)
    assert label_fault({"0": "a", "1": "b"}, output) == "a regression has no labels"
