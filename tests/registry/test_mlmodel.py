"""Reading MLmodel files and input examples."""

from datetime import UTC, datetime

import pytest

from apps.registry.mlflow.mlmodel import UnreadableModel, parse_example, parse_mlmodel

TEXT = """
flavors:
  onnx: {data: model.onnx}
  python_function: {loader_module: mlflow.onnx}
saved_input_example_info: {artifact_path: input_example.json}
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  outputs: null
utc_time_created: '2026-11-21 22:50:02.925843'
"""


def test_mlmodel__of_onnx__file_signature_and_time() -> None:
    found = parse_mlmodel(TEXT)
    assert (found.framework, found.data, found.example_path) == (
        "onnx",
        "model.onnx",
        "input_example.json",
    )
    assert found.signature["inputs"][0]["name"] == "a"
    assert found.created_at == datetime(2026, 11, 21, 22, 50, 2, 925843, UTC)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flavors: {spark: {data: model}}", "only onnx, sklearn.* this one is spark"),
        ("flavors: {onnx: {data: ../../etc/passwd}}", "names no data"),
        ("flavors: {onnx: {data: .hidden}}", "names no data"),
        ("[1, 2]", "no flavours"),
        ("{", "no YAML"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("flavors: {onnx: {data: m}}\nsignature: {inputs: '{'}", "no JSON"),
        ("flavors: {onnx: {data: m}}\nsignature: {inputs: '1'}", "no list"),
    ],
)
def test_mlmodel__other_content__refused_in_words(text: str, words: str) -> None:
    with pytest.raises(UnreadableModel, match=words):
        parse_mlmodel(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}',
        '{"data": [[1, "x"], [2, "y"]]}',
        '[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]',
        '[[1, "x"], [2, "y"]]',
        '{"a": [1, 2], "b": ["x", "y"]}',
        '{"inputs": {"a": [[1], [2]], "b": ["x", "y"]}}',
    ],
)
def test_example__every_form_that_mlflow_writes__rows(text: str) -> None:
    assert parse_example(text, ["a", "b"]) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.mark.parametrize("text", ["", "{", "3", "[]", "{}", '"x"', "[[1, 2, 3]]", '{"inputs": 3}'])
def test_example__anything_else__no_rows(text: str) -> None:
    assert parse_example(text, ["a", "b"]) == []


def test_example__many_rows__cut() -> None:
    assert len(parse_example(f"[{', '.join(['[1, 2]'] * 100)}]", ["a", "b"])) == 32
