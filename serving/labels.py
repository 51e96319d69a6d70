"""From a model's raw output to a score, a label and a confidence."""

import math
from array import array
from collections.abc import Sequence

import msgspec

from contracts.schema import Labelling, OutputSpec

_TYPECODES = {"FP32": "f", "FP64": "d"}
TOLERANCE = 1e-3


class InvalidOutput(ValueError):
    """The output tensor does not have the agreed shape."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One row's result.

    `score` is the probability of class 1 (binary), of the likeliest class (multiclass) or the
    value (regression); `index` the class, -1 for regression; `confidence` the probability of
    that class, None for regression.
    """

    score: float
    index: int
    label: str
    confidence: float | None


class Labeller:
    """Reads the output tensor of one version."""

    def __init__(self, output: OutputSpec, labelling: Labelling) -> None:
        self.output = output
        self._labels = labelling.labels
        self._threshold = labelling.threshold
        self._typecode = _TYPECODES[output.datatype]
        readers = {
            "binary": self._binary,
            "multiclass": self._multiclass,
            "regression": self._regression,
        }
        self._read = readers[output.kind]

    def read(self, raw: bytes, rows: int) -> list[Answer | None]:
        """One answer per row of `raw`, `[rows, width]`; None for a row that is no valid output.

        Invalid are NaN, infinities and, for classifiers, values outside [0, 1]. Raises
        InvalidOutput when the size is wrong.
        """
        values = array(self._typecode)
        width = self.output.width
        if len(raw) != rows * width * values.itemsize:
            raise InvalidOutput(f"{len(raw)} bytes are not {rows} rows of {width}")
        values.frombytes(raw)
        if width == 1:
            return [self._read((value,)) for value in values]
        cells = values.tolist()
        return [self._read(cells[at : at + width]) for at in range(0, len(cells), width)]

    def label_of(self, index: int) -> str:
        """The label of a class, by default its number."""
        return self._labels.get(str(index), str(index))

    def _binary(self, row: Sequence[float]) -> Answer | None:
        score = row[-1]
        if not -TOLERANCE <= score <= 1 + TOLERANCE:  # false for NaN as well
            return None
        index = 1 if score >= self._threshold else 0
        confidence = score if index else 1.0 - score
        return Answer(score, index, self.label_of(index), confidence)

    def _multiclass(self, row: Sequence[float]) -> Answer | None:
        if not all(-TOLERANCE <= value <= 1 + TOLERANCE for value in row):
            return None
        score = max(row)
        index = row.index(score)
        return Answer(score, index, self.label_of(index), score)

    def _regression(self, row: Sequence[float]) -> Answer | None:
        value = row[0]
        return Answer(value, -1, "", None) if math.isfinite(value) else None
