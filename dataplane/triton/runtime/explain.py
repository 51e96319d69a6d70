"""Explains the `model.onnx` beside this file with shap, in Triton's Python backend.

The same file explains every model. It asks the graph through the very file that serves it, which
the puller puts beside this one as `served.py`; nothing is unpickled. shap's permutation explainer
sees each feature as a number that stands for its cells, whatever their types, so text and missing
values are explained as they are sent. It runs at a lower priority than what serves predictions.
Reading shap takes seconds and 200 MB, so it happens while the entry loads, and one row is explained
there and then: what is ready answers in milliseconds. From then on it gives way to everything on
the machine.
"""

import contextlib
import json
import os
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from served import OnnxModel

NICE = 10
PERMUTATIONS = 10
MASKS_AT_ONCE = 32
SEED = 0
#: base value + contributions = prediction within this, times the largest of them where above 1
TOLERANCE = 1e-5
DTYPES: dict[str, Any] = {
    "TYPE_FP32": np.float32,
    "TYPE_FP64": np.float64,
    "TYPE_INT64": np.int64,
    "TYPE_BOOL": np.bool_,
    "TYPE_STRING": np.object_,
}

Tensors = dict[str, Any]
Cells = list[tuple[str, int]]


class NotAdditive(Exception):
    """Base value and contributions do not sum to the prediction: nobody should see them."""


class Cancelled(Exception):
    """Whoever asked waits no more."""


class Score:
    """Reads the explained number out of the model's outputs.

    binary: the probability of class 1, or of class 0 when asked for; multiclass: that of the
    class asked for, else of the likeliest; regression: the value.
    """

    def __init__(self, tensor: str, kind: str, width: int) -> None:
        self.tensor, self.kind, self.width = tensor, kind, width

    def class_of(self, outputs: Tensors, asked: int) -> int:
        """The class to explain for the one row in `outputs`; -1 for regression."""
        if self.kind == "regression":
            return -1
        classes = 2 if self.kind == "binary" else self.width
        if asked >= classes:
            raise ValueError(f"the model has classes 0 to {classes - 1}")
        if asked >= 0:
            return asked
        return 1 if self.kind == "binary" else int(np.argmax(outputs[self.tensor][0]))

    def read(self, outputs: Tensors, index: int) -> Any:
        """The score `[rows]` of class `index`."""
        values = outputs[self.tensor].astype(np.float64)
        if self.kind == "regression":
            return values[:, 0]
        if self.kind == "binary":
            return values[:, -1] if index == 1 else 1.0 - values[:, -1]
        return values[:, index]


def codes_of(features: list[Cells], tensors: Tensors) -> Any:
    """`[rows, features]`: each feature's cells as the number of the first row that has the same.

    shap compares values by closeness, which is wrong for text and for numbers that are nearly
    equal; equal codes mean equal cells and nothing else.
    """
    count = len(next(iter(tensors.values())))
    codes = np.empty((count, len(features)))
    for number, cells in enumerate(features):
        seen: dict[tuple[Any, ...], int] = {}
        for row in range(count):
            key = tuple(tensors[name][row, column] for name, column in cells)
            codes[row, number] = seen.setdefault(key, row)
    return codes


def tensors_of(features: list[Cells], tensors: Tensors, codes: Any) -> Tensors:
    """The tensors that `codes` stand for; the inverse of `codes_of` for any mixture of rows."""
    rows = codes.astype(np.intp)
    mixed = {
        name: np.empty((len(rows), array.shape[1]), dtype=array.dtype)
        for name, array in tensors.items()
    }
    for number, cells in enumerate(features):
        for name, column in cells:
            mixed[name][:, column] = tensors[name][rows[:, number], column]
    return mixed


@lru_cache(maxsize=1)
def read_shap() -> Any:
    """The library. On a busy machine it would never arrive at the priority of what follows."""
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")  # compiling takes longer than it saves
    import shap

    give_way()
    return shap


def give_way() -> None:
    """Let everything else on this machine go first.

    Where Linux shares the processors out by session, a niceness counts within the session only:
    hence one of its own, with that niceness as a whole.
    """
    with contextlib.suppress(OSError):
        os.setsid()
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(NICE))


def permutation_values(ask: Callable[[Any], Any], background: Any, row: Any) -> Any:
    """Shapley values of `row` against `background`, by shap over `PERMUTATIONS` both ways."""
    shap = read_shap()
    masker = shap.maskers.Independent(background, max_samples=len(background))
    explainer = shap.PermutationExplainer(ask, masker, seed=SEED)
    evaluations = PERMUTATIONS * (2 * background.shape[1] + 1)
    found = explainer(
        row.reshape(1, -1), max_evals=evaluations, batch_size=MASKS_AT_ONCE, silent=True
    )
    return np.asarray(found.values[0], dtype=np.float64)


def require_additive(base: float, values: Any, prediction: float) -> None:
    """Raise NotAdditive unless base + sum(values) is the prediction, within TOLERANCE."""
    gap = abs(base + float(values.sum()) - prediction)
    if not gap <= TOLERANCE * max(1.0, abs(base), abs(prediction)):  # true for NaN as well
        raise NotAdditive(f"base value and contributions miss the prediction by {gap:.3g}")


class Explainer:
    """The model, its background rows, and which cells make up a feature."""

    def __init__(self, home: str, parameters: dict[str, Any]) -> None:
        told = json.loads(parameters["explain"]["string_value"])
        self.features: list[Cells] = [list(map(tuple, each)) for each in told["features"]]
        self.inputs: dict[str, str] = told["inputs"]
        self.score = Score(told["output"], told["kind"], told["width"])
        self.model = OnnxModel(os.path.join(home, "model.onnx"), told["model"])
        with open(os.path.join(home, "background.json"), encoding="utf-8") as file:
            rows = json.load(file)
        self.background = {name: _block(rows[name], kind) for name, kind in self.inputs.items()}
        outputs = self.model.run(self.background)
        if not np.isfinite(outputs[self.score.tensor]).all():
            raise ValueError("the model's output for the background rows is not finite")

    def explain(self, row: Tensors, asked: int, check: Callable[[], None]) -> Tensors:
        """Contributions, base value, prediction and class for the one row in `row`.

        `check` is called before every look at the model, and may raise.
        """
        outputs = self.model.run(row)
        index = self.score.class_of(outputs, asked)
        prediction = float(self.score.read(outputs, index)[0])
        joined = {name: np.concatenate([rows, row[name]]) for name, rows in self.background.items()}
        codes = codes_of(self.features, joined)

        def ask(masked: Any) -> Any:
            check()
            mixed = tensors_of(self.features, joined, np.asarray(masked))
            return self.score.read(self.model.run(mixed), index)

        base = float(ask(codes[:-1]).mean())
        values = permutation_values(ask, codes[:-1], codes[-1])
        require_additive(base, values, prediction)
        return {
            "contributions": values.reshape(1, -1),
            "base_value": np.array([[base]]),
            "prediction": np.array([[prediction]]),
            "class": np.array([[index]], dtype=np.int64),
        }

    def warm(self) -> None:
        """Explain the first background row, as nobody should have to wait for the first one."""
        row = {name: rows[:1] for name, rows in self.background.items()}
        self.explain(row, -1, _go_on)


def _go_on() -> None:
    """Somebody waits."""


def _block(rows: list[list[Any]], kind: str) -> Any:
    """`[rows, k]` cells from JSON, where null is a missing number."""
    if kind == "TYPE_STRING":
        return np.array(rows, dtype=np.object_)
    if kind in ("TYPE_FP32", "TYPE_FP64"):
        rows = [[float("nan") if cell is None else cell for cell in row] for row in rows]
    return np.array(rows, dtype=DTYPES[kind])


def _text(array: Any) -> Any:
    """Triton hands strings over as bytes objects; the background has str."""
    if array.dtype != np.object_:
        return array
    cells = [c.decode("utf-8") if isinstance(c, bytes) else str(c) for c in array.ravel()]
    return np.array(cells, dtype=np.object_).reshape(array.shape)


class TritonPythonModel:
    """What Triton's Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load graph and background; what is raised here fails the load."""
        os.nice(NICE)
        if find_spec("shap") is None:
            raise ModuleNotFoundError("this Triton's Python environment has no shap")
        config = json.loads(args["model_config"])
        home = os.path.join(args["model_repository"], args["model_version"])
        self.explainer = Explainer(home, config["parameters"])
        self.explainer.warm()

    def execute(self, requests: list[Any]) -> list[Any]:
        """One explanation after the other."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        def check() -> None:
            if request.is_cancelled():
                raise Cancelled("the caller waits no more")

        try:
            found = self.explainer.explain(self._row(request), self._asked(request), check)
        except Exception as error:  # onnxruntime and shap raise many kinds
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse([pb_utils.Tensor(n, a) for n, a in found.items()])

    def _row(self, request: Any) -> Tensors:
        return {
            name: _text(pb_utils.get_input_tensor_by_name(request, name).as_numpy())
            for name in self.explainer.inputs
        }

    def _asked(self, request: Any) -> int:
        return int(pb_utils.get_input_tensor_by_name(request, "class").as_numpy()[0, 0])
