"""Two versions side by side: every difference is seen, and said as a person would."""

from dataclasses import replace
from typing import Any

import pytest

from apps.registry.comparison import Side, compare, in_words
from benchmarks import rig

SIDE = Side(
    framework="onnx",
    schema=rig.SCHEMA,
    metrics={"auc": 0.5},
    parameters={},
    data={},
    code={},
    threshold=0.5,
    labels={},
    size_bytes=1,
)


def _changed(before: Side, after: Side) -> list[str]:
    return [row.label for row in compare(before, after) if row.changed]


def test_compare__long_values_that_differ_at_the_end__are_seen() -> None:
    before = replace(SIDE, parameters={"note": "x" * 200 + "a"})
    after = replace(SIDE, parameters={"note": "x" * 200 + "b"})
    assert _changed(before, after) == ["Note"]


def test_compare__data_sets_of_one_name__told_apart_by_digest() -> None:
    sets = [{"name": "flights", "digest": digest} for digest in ("aa" * 10, "bb" * 10)]
    before, after = (replace(SIDE, data={"datasets": [each]}) for each in sets)
    assert _changed(before, after) == ["Data: datasets"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        ([], "–"),
        (0.123456, "0.1235"),
        ("plain", "plain"),
        (
            [{"name": "flights", "digest": "7c704aa724ae76ac91", "source": "s"}],
            "flights (7c704aa724ae)",
        ),
        ({"a": 1, "b": [2, 3]}, "a: 1, b: 2; 3"),
    ],
)
def test_in_words__logged_value__reads_without_brackets(value: Any, words: str) -> None:
    assert in_words(value) == words
