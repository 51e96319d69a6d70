"""Several models' outputs as one: the same answer online, in batch and at validation.

Outputs are read into one canonical shape, `[members, rows, classes]` in double precision: binary
models have the two columns P(0), P(1) whatever their tensor's width, regressions one column.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contracts.policy import Ensemble
from contracts.schema import Labelling, OutputSpec
from serving.labels import Answer, Labeller

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.intp]
Member = tuple[OutputSpec, Labelling]

_DTYPES = {"FP32": "<f4", "FP64": "<f8"}


class EnsembleError(ValueError):
    """Members that cannot be combined as asked, with the reason in words."""


def check(
    ensemble: Ensemble, output: OutputSpec, labelling: Labelling, members: Sequence[Member]
) -> None:
    """Raise EnsembleError unless these members can be combined to this output.

    All must be of one kind, with the same classes under the same labels: a class is a position.
    """
    if not members or len(members) != len(ensemble.members):
        raise EnsembleError("an ensemble needs at least one member")
    for key, (other, labels) in zip(ensemble.members, members, strict=True):
        if other.kind != output.kind:
            raise EnsembleError(f"member {key!r} is {other.kind}, the ensemble {output.kind}")
        if output.kind == "multiclass" and other.width != output.width:
            raise EnsembleError(f"member {key!r} has {other.width} classes, not {output.width}")
        if labels.labels != labelling.labels:
            raise EnsembleError(f"member {key!r} has other labels than the ensemble")
    _check_combination(ensemble, output.kind)


def _check_combination(ensemble: Ensemble, kind: str) -> None:
    weights, combine = ensemble.weights, ensemble.combine
    if combine == "vote" and kind == "regression":
        raise EnsembleError("values cannot be voted on")
    if combine == "stack" and kind == "multiclass":
        raise EnsembleError("stacking combines binary models or regressions")
    if combine in ("weighted", "stack") and not weights:
        raise EnsembleError(f"{combine!r} needs a weight for each member")
    if weights and len(weights) != len(ensemble.members):
        raise EnsembleError(f"{len(weights)} weights for {len(ensemble.members)} members")
    if not all(map(np.isfinite, (*weights, ensemble.intercept))):
        raise EnsembleError("weights must be finite")
    if combine in ("weighted", "vote") and weights and not _are_shares(weights):
        raise EnsembleError("weights must not be negative, and one must be positive")


def _are_shares(weights: Sequence[float]) -> bool:
    return min(weights) >= 0 and sum(weights) > 0


def read_output(raw: bytes, output: OutputSpec) -> Floats:
    """A model's raw output tensor as `[rows, classes]`. Raises EnsembleError for a wrong size."""
    cells = np.frombuffer(raw, dtype=_DTYPES[output.datatype])
    if cells.size % output.width:
        raise EnsembleError(f"{cells.size} values are no rows of {output.width}")
    table = cells.reshape(-1, output.width).astype(np.float64)
    if output.kind != "binary":
        return table
    return np.stack((1 - table[:, -1], table[:, -1]), axis=1)


def write_output(values: Floats, output: OutputSpec) -> bytes:
    """`[rows, classes]` as the raw tensor that `output` declares."""
    cells = values[:, -output.width :] if output.kind == "binary" else values
    return cells.astype(_DTYPES[output.datatype]).tobytes()


def combine(ensemble: Ensemble, outputs: Floats, *, kind: str = "binary") -> Floats:
    """The combined output `[rows, classes]` of `outputs` `[members, rows, classes]`.

    mean: the arithmetic mean of the members. weighted: their mean with `weights`, which need not
    sum to 1. stack, of s_m = P(1) or the value: regression `intercept + sum w_m s_m`, binary the
    logistic function of that. vote: use `vote`, which needs the members' decisions.
    """
    if ensemble.combine == "stack":
        return _stacked(ensemble, outputs[:, :, -1], kind)
    weights = ensemble.weights if ensemble.combine == "weighted" else None
    mean: Floats = np.average(outputs, axis=0, weights=weights)
    return mean


def _stacked(ensemble: Ensemble, scores: Floats, kind: str) -> Floats:
    linear = ensemble.intercept + np.asarray(ensemble.weights) @ scores
    if kind == "regression":
        return linear[:, np.newaxis]
    # exp of a negative number only, so that nothing overflows
    tail = np.exp(-np.abs(linear))
    positive = np.where(linear >= 0, 1, tail) / (1 + tail)
    return np.stack((1 - positive, positive), axis=1)


def vote(ensemble: Ensemble, outputs: Floats, decisions: Classes) -> tuple[Floats, Classes]:
    """Shares of the votes `[rows, classes]` and the winners `[rows]`.

    `decisions` `[members, rows]` are the classes that the members decided for, each by its own
    threshold; `weights`, if given, say what a vote counts. The class with the most votes wins;
    among equals the one with the highest mean output, then the lowest number.
    """
    members, _, classes = outputs.shape
    weights = np.asarray(ensemble.weights or (1.0,) * members)
    ballots = (decisions[:, :, np.newaxis] == np.arange(classes)) * weights[:, None, None]
    counts = ballots.sum(axis=0)
    most = np.isclose(counts, counts.max(axis=1, keepdims=True), rtol=1e-12, atol=0)
    winners = np.where(most, outputs.mean(axis=0), -np.inf).argmax(axis=1)
    return counts / weights.sum(), winners


class Combiner:
    """Combines the raw outputs of an ensemble's members. Raises EnsembleError as `check` does."""

    def __init__(
        self,
        ensemble: Ensemble,
        output: OutputSpec,
        labelling: Labelling,
        members: Sequence[Member],
    ) -> None:
        check(ensemble, output, labelling, members)
        self._ensemble = ensemble
        self._output = output
        self._members = tuple(members)
        self._labeller = Labeller(output, labelling)

    def combine(self, raws: Sequence[bytes], rows: int) -> tuple[bytes, list[Answer | None]]:
        """The ensemble's raw output and its answers from each member's raw output of `rows` rows.

        Answers are None where the output is not valid. After a vote the score is the winner's
        share of the votes (binary: that of class 1), and so is the confidence.
        """
        outputs = np.stack(
            [read_output(raw, each) for raw, (each, _) in zip(raws, self._members, strict=True)]
        )
        if self._ensemble.combine == "vote":
            return self._elected(outputs)
        combined = combine(self._ensemble, outputs, kind=self._output.kind)
        raw = write_output(combined, self._output)
        return raw, self._labeller.read(raw, rows)

    def _elected(self, outputs: Floats) -> tuple[bytes, list[Answer | None]]:
        shares, winners = vote(self._ensemble, outputs, self._decisions(outputs))
        valid = np.isfinite(outputs.sum(axis=(0, 2)))
        answers = [
            self._answer(row, index) if is_valid else None
            for row, index, is_valid in zip(shares.tolist(), winners.tolist(), valid, strict=True)
        ]
        return write_output(shares, self._output), answers

    def _decisions(self, outputs: Floats) -> Classes:
        if self._output.kind == "multiclass":
            classes: Classes = outputs.argmax(axis=2)
            return classes
        thresholds = np.array([labelling.threshold for _, labelling in self._members])
        return (outputs[:, :, 1] >= thresholds[:, np.newaxis]).astype(np.intp)

    def _answer(self, shares: list[float], index: int) -> Answer:
        score = shares[1] if self._output.kind == "binary" else shares[index]
        return Answer(score, index, self._labeller.label_of(index), shares[index])
