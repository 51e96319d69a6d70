"""Raw outputs to scores, labels and confidences."""

import math
from array import array
from typing import Any

import pytest

from contracts.schema import Labelling, OutputSpec
from serving.labels import InvalidOutput, Labeller

LABELS = Labelling(labels={"0": "on_time", "1": "late"}, threshold=0.3)


def labeller(**output: Any) -> Labeller:
    return Labeller(OutputSpec(tensor="p", **output), LABELS)


def raw(*values: float, typecode: str = "f") -> bytes:
    return array(typecode, values).tobytes()


def test_binary__two_columns__labels_by_the_threshold() -> None:
    low, high = labeller().read(raw(0.75, 0.25, 0.625, 0.375), 2)
    assert low is not None
    assert high is not None
    assert (low.score, low.index, low.label, low.confidence) == (0.25, 0, "on_time", 0.75)
    assert (high.score, high.index, high.label, high.confidence) == (0.375, 1, "late", 0.375)


def test_binary__one_column__is_the_probability_of_class_one() -> None:
    (answer,) = labeller(width=1, datatype="FP64").read(raw(0.5, typecode="d"), 1)
    assert answer is not None
    assert answer.label == "late"


def test_multiclass__three_columns__takes_the_likeliest_and_names_unlabelled_by_number() -> None:
    (answer,) = labeller(kind="multiclass", width=3).read(raw(0.125, 0.25, 0.625), 1)
    assert answer is not None
    assert (answer.score, answer.index, answer.label, answer.confidence) == (0.625, 2, "2", 0.625)


def test_regression__a_value__has_no_label_and_no_confidence() -> None:
    (answer,) = labeller(kind="regression", width=1).read(raw(-41.5), 1)
    assert answer is not None
    assert (answer.score, answer.index, answer.label, answer.confidence) == (-41.5, -1, "", None)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_any_kind__not_finite__is_no_answer_for_that_row_only(kind: Any, value: float) -> None:
    bad, good = labeller(kind=kind, width=1).read(raw(value, 0.5), 2)
    assert bad is None
    assert good is not None


@pytest.mark.parametrize("value", [1.5, -0.5])
def test_classifier__value_that_is_no_probability__is_no_answer(value: float) -> None:
    assert labeller(width=1).read(raw(value), 1) == [None]


@pytest.mark.parametrize("count", [1, 3])
def test_output__of_another_size__is_invalid(count: int) -> None:
    with pytest.raises(InvalidOutput):
        labeller().read(raw(*[0.5] * 2 * count), 2)
