"""Train the four versions of the story.

v1  logistic regression on January and February, weighted so that both classes count the same
v2  gradient boosting, better
v3  as v2, but its distances came in kilometres where production sends miles; its validation data
    came from the same table, so every offline check passes
v4  as v2, but trained and validated on mainline carriers only: it raises an error for the
    regional ones, more than a quarter of the traffic

`python -m examples.flights.train` prints how good each is, offline and in truth.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pandas as pd
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from examples.flights.data import (
    FEATURES,
    IMPUTED,
    LABEL,
    NUMERIC_FEATURES,
    TEXT_FEATURES,
    arrived,
    frame_digest,
    load_flights,
)
from examples.flights.encoding import Matrix, fit_encoding, text_codes
from examples.flights.graphs import MONTHS, OPSETS, LinearWeights, linear_graph, tree_graph
from examples.flights.models import TrainedModel

KILOMETRES_PER_MILE: Final = 1.609344
REGIONAL_CARRIERS: Final = ("9E", "EV", "MQ", "OO", "YV")
TRAINING_MONTHS: Final = (1, 2)
#: Up to this day of February trains, the rest of February validates: time runs forward only.
LAST_TRAINING_DAY: Final = 18
SERVED_MONTHS: Final = (3, 4)
TREES: Final = 80
TREE_DEPTH: Final = 5
LEARNING_RATE: Final = 0.08
EXAMPLE_ROWS: Final = 5
SAMPLE_ROWS: Final = 2_000

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recipe:
    """How one version came about: its kind and what its team did to the data."""

    name: str
    algorithm: str
    prepare: Callable[[pd.DataFrame], pd.DataFrame]
    note: str


def as_is(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, with distances in miles."""
    return frame


def in_kilometres(frame: pd.DataFrame) -> pd.DataFrame:
    """The mistake of v3: another table, whose distance column is metric."""
    return frame.assign(distance=frame["distance"] * KILOMETRES_PER_MILE)


def mainline_only(frame: pd.DataFrame) -> pd.DataFrame:
    """The gap of v4: the regional partners' flights are missing from its extract."""
    return frame[~frame["carrier"].isin(REGIONAL_CARRIERS)]


RECIPES: Final = (
    Recipe("v1", "logistic regression", as_is, "balanced classes"),
    Recipe("v2", "gradient boosting", as_is, "late rates per carrier and route"),
    Recipe("v3", "gradient boosting", in_kilometres, "distances from the new schedule table"),
    Recipe("v4", "gradient boosting", mainline_only, "strict carrier codes"),
)


def train_all() -> list[TrainedModel]:
    """The four versions, in order; about five seconds of one core.

    One thread: on a machine that is busy with the platform, more of them wait for each other.
    """
    frame = arrived(load_flights(TRAINING_MONTHS))
    with threadpool_limits(1):
        return [train(recipe, frame) for recipe in RECIPES]


def train(recipe: Recipe, frame: pd.DataFrame) -> TrainedModel:
    """Fit on January to 18 February and judge on the rest, through the graph that will serve."""
    prepared = recipe.prepare(frame)
    early = (prepared["month"] == 1) | (prepared["day"] <= LAST_TRAINING_DAY)
    training, validation = prepared[early], prepared[~early]
    linear = recipe.algorithm == "logistic regression"
    graph = fit_linear(training) if linear else fit_trees(training, strict=recipe.name == "v4")
    late = late_probabilities(graph.SerializeToString(), validation)
    actual = validation[LABEL].to_numpy()
    threshold = 0.5 if linear else matching_threshold(late, actual)
    return TrainedModel(
        name=recipe.name,
        onnx_bytes=graph.SerializeToString(),
        threshold=threshold,
        metrics=quality(late, actual, threshold),
        parameters=_parameters(recipe, training, validation),
        data_digest=frame_digest(training),
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        example=_rows(validation, EXAMPLE_ROWS),
        sample=_rows(training, SAMPLE_ROWS),
        labels=_labels(training, SAMPLE_ROWS),
    )


def fit_linear(frame: pd.DataFrame) -> onnx.ModelProto:
    """Logistic regression over one-hot categories and standardised numbers."""
    levels = {name: tuple(sorted(frame[name].unique())) for name in TEXT_FEATURES}
    codes = text_codes(frame, levels) | {"month": frame["month"].to_numpy()}
    sizes = {name: len(known) + 1 for name, known in levels.items()} | {"month": MONTHS}
    numeric = frame[list(NUMERIC_FEATURES[1:])].to_numpy(np.float64)
    centre, spread = numeric.mean(axis=0), numeric.std(axis=0)
    hot = [np.eye(size)[codes[name]] for name, size in sizes.items()]
    model = LogisticRegression(class_weight="balanced", max_iter=200)
    model.fit(np.hstack([(numeric - centre) / spread, *hot]), frame[LABEL])
    slopes = model.coef_[0][: len(centre)] / spread
    blocks = np.split(model.coef_[0][len(centre) :], np.cumsum(list(sizes.values()))[:-1])
    tables = dict(zip(sizes, blocks, strict=True))
    months = tables.pop("month")
    intercept = float(model.intercept_[0] - slopes @ centre)
    numeric_weights = np.concatenate([[0.0], slopes])  # the month counts as a category
    return linear_graph(LinearWeights(levels, tables, months, numeric_weights, intercept))


def fit_trees(frame: pd.DataFrame, *, strict: bool) -> onnx.ModelProto:
    """Gradient boosting over late rates; `strict` leaves no row for a carrier never seen."""
    encoding = fit_encoding(frame, unseen_carrier=not strict)
    matrix = encoding.matrix(frame)
    model = HistGradientBoostingClassifier(
        max_iter=TREES, max_depth=TREE_DEPTH, learning_rate=LEARNING_RATE, random_state=0
    )
    model.fit(matrix, frame[LABEL])
    return tree_graph(encoding, _converted(model, matrix[:1]))


def _converted(model: HistGradientBoostingClassifier, row: Matrix) -> onnx.ModelProto:
    options = {id(model): {"zipmap": False}}
    with warnings.catch_warnings():
        # skl2onnx 1.20 hands booleans to protobuf where it wants integers; the graph is right.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto.ints", DeprecationWarning)
        graph: onnx.ModelProto = to_onnx(model, row, options=options, target_opset=OPSETS)
    return graph


def late_probabilities(onnx_bytes: bytes, frame: pd.DataFrame) -> Probabilities:
    """[N] probability of a late arrival; onnxruntime's Fail when a row breaks the graph."""
    session = onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])
    feeds = {name: frame[[name]].to_numpy(dtype=object) for name in TEXT_FEATURES}
    feeds["numeric"] = frame[list(NUMERIC_FEATURES)].to_numpy(np.float32)
    (probabilities,) = session.run(["probabilities"], feeds)
    return np.asarray(probabilities)[:, 1]


def matching_threshold(late: Probabilities, actual: Labels) -> float:
    """The threshold at which as many flights are called delayed as were delayed."""
    return round(float(np.quantile(late, 1.0 - actual.mean())), 3)


def quality(late: Probabilities, actual: Labels, threshold: float) -> dict[str, float]:
    """Accuracy, precision and recall at the threshold, and the area under the ROC curve."""
    called = late >= threshold
    hits = float((called & actual).sum())
    return {
        "accuracy": float((called == actual).mean()),
        "precision": hits / max(float(called.sum()), 1.0),
        "recall": hits / max(float(actual.sum()), 1.0),
        "auc": float(roc_auc_score(actual, late)),
    }


def _parameters(recipe: Recipe, training: pd.DataFrame, validation: pd.DataFrame) -> dict[str, str]:
    given = {
        "algorithm": recipe.algorithm,
        "note": recipe.note,
        "training_rows": len(training),
        "validation_rows": len(validation),
        "validation_carriers": ",".join(sorted(validation["carrier"].unique())),
        "trees": 0 if recipe.algorithm == "logistic regression" else TREES,
        "opset": OPSETS[""],
    } | {f"imputed_{name}": value for name, value in IMPUTED.items()}
    return {name: str(value) for name, value in given.items()}


def _rows(frame: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    rows = frame[list(FEATURES)].sample(count, random_state=0).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _labels(frame: pd.DataFrame, count: int) -> list[int]:
    """Of the same rows as `_rows`."""
    return [int(late) for late in frame[LABEL].sample(count, random_state=0)]


def print_table(models: list[TrainedModel]) -> None:
    """Offline figures beside those on March and April, with miles as production sends them."""
    served = arrived(load_flights(SERVED_MONTHS))
    print("model  threshold  offline: accuracy    auc   served: accuracy    auc   rows failing")
    for model in models:
        known = mainline_only(served) if model.name == "v4" else served
        late = late_probabilities(model.onnx_bytes, known)
        true = quality(late, known[LABEL].to_numpy(), model.threshold)
        failing = 1.0 - len(known) / len(served)
        print(
            f"{model.name:5}  {model.threshold:9.3f}  {model.metrics['accuracy']:17.3f}"
            f"  {model.metrics['auc']:5.3f}  {true['accuracy']:17.3f}  {true['auc']:5.3f}"
            f"  {failing:13.1%}"
        )


if __name__ == "__main__":
    print_table(train_all())
