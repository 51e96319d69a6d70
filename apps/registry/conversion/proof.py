"""Two models held against each other on the same rows, in numbers. Pure."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.schema import Labelling, OutputSpec
from serving.columns import NUMPY_TYPES
from serving.labels import Labeller

TOLERANCE = 1e-3
LEAST_SHARE = 0.995
Z = 1.96


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """How far the second's answers `[rows, width]` are from the first's.

    `within` is the share of rows whose every number agrees, |a - b| <= tolerance x (1 + |a|);
    `labels_agree` the share of rows with the same label (None of a regression), between `low` and
    `high` with 95 % confidence (Wilson).
    """

    rows: int
    max_abs: float
    max_rel: float
    within: float
    tolerance: float
    labels_agree: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the second stands for the first: single precision may move single rows."""
        labels = 1.0 if self.labels_agree is None else self.labels_agree
        return self.within >= LEAST_SHARE and labels >= LEAST_SHARE

    def __str__(self) -> str:
        labels = "" if self.labels_agree is None else f", {self.labels_agree:.2%} of labels agree"
        return (
            f"{self.within:.2%} of {self.rows} rows within {self.tolerance:g}{labels}; "
            f"largest difference {self.max_abs:.3g}"
        )


def compare(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    output: OutputSpec,
    labelling: Labelling,
    *,
    tolerance: float = TOLERANCE,
) -> Proof:
    """Answers of two models to the same rows. Raises ValueError when their shapes differ."""
    if first.shape != second.shape or not first.size:
        raise ValueError(f"the answers are {list(second.shape)}, not {list(first.shape)}")
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(second - first)
        close = distance <= tolerance * (1.0 + np.abs(first))
        relative = distance / np.maximum(np.abs(first), 1e-12)
    agree = _labels_agree(first, second, output, labelling)
    low, high = (None, None) if agree is None else wilson(agree, len(first))
    return Proof(
        rows=len(first),
        max_abs=_largest(distance),
        max_rel=_largest(relative),
        within=float(close.all(axis=1).mean()),
        tolerance=tolerance,
        labels_agree=agree,
        low=low,
        high=high,
    )


def _largest(values: npt.NDArray[np.float64]) -> float:
    """JSON knows no infinity: a number that is none is as far away as numbers go."""
    worst = float(np.max(np.nan_to_num(values, nan=np.finfo(np.float64).max)))
    return min(worst, float(np.finfo(np.float64).max))


def _labels_agree(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    output: OutputSpec,
    labelling: Labelling,
) -> float | None:
    if output.kind == "regression":
        return None
    labels = [labels_of(answers, output, labelling) for answers in (first, second)]
    same = [one == other and one is not None for one, other in zip(*labels, strict=True)]
    return float(np.mean(same))


def labels_of(
    answers: npt.NDArray[np.float64], output: OutputSpec, labelling: Labelling
) -> list[Any]:
    """The prediction of each row as it is served; None where the answer is no probability."""
    raw = np.ascontiguousarray(answers, NUMPY_TYPES[output.datatype]).tobytes()
    found = Labeller(output, labelling).read(raw, len(answers))
    return [None if each is None else each.index for each in found]


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `count`."""
    middle = share + Z * Z / (2 * count)
    spread = Z * float(np.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count)))
    scale = 1 + Z * Z / count
    return max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0)
