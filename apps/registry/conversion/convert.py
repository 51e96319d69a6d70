"""Opens a model of scikit-learn, XGBoost or LightGBM and writes it as ONNX; runs in the sandbox.

Never imported. Stands alone in the environment of requirements/conversion.txt. Whatever the file
does when it is opened, it does here; the answer is believed as far as a stranger's word is.
"""

import base64
import os
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

# ONNX that onnxruntime and Triton's backends of the last years all read.
OPSET = {"": 17, "ai.onnx.ml": 3}
PACKAGES = {
    "sklearn": ("scikit-learn", "skl2onnx"),
    "xgboost": ("xgboost-cpu", "onnxmltools"),
    "lightgbm": ("lightgbm", "onnxmltools"),
}
MADE_WITH = {"sklearn": "sklearn_version", "xgboost": "xgb_version", "lightgbm": "lgb_version"}
NAMES = {"sklearn": "scikit-learn", "xgboost": "XGBoost", "lightgbm": "LightGBM"}
FEATURES = "features"
TARGET = "model.onnx"


def load(order: dict[str, Any]) -> Any:
    """The model object. Unpickles, where the file is a pickle."""
    path, settings = order["path"], order["settings"]
    if path.endswith(".skops"):
        import skops.io

        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    if path.endswith(".pkl"):
        import cloudpickle

        with Path(path).open("rb") as file:
            return cloudpickle.load(file)
    return LOADERS[order["framework"]](path, settings)


def load_xgboost(path: str, settings: dict[str, str]) -> Any:
    """From XGBoost's own format: data, no code."""
    import xgboost

    name = settings.get("model_class", "xgboost.core.Booster").rpartition(".")[2]
    model = getattr(xgboost, name)()
    model.load_model(path)
    return model


def load_lightgbm(path: str, _settings: dict[str, str]) -> Any:
    """From LightGBM's own text format: data, no code."""
    import lightgbm

    return lightgbm.Booster(model_file=path)


LOADERS = {"xgboost": load_xgboost, "lightgbm": load_lightgbm}


def frame(order: dict[str, Any]) -> Any:
    """The sample as a pandas frame, in the columns' order and types."""
    import pandas as pd

    table = pd.DataFrame(order["rows"], columns=[each["name"] for each in order["columns"]])
    for column in order["columns"]:
        values = table[column["name"]]
        if column["kind"] == "string":
            table[column["name"]] = values.astype(object)
        else:
            whole = column["kind"] == "integer" and not values.isna().any()
            table[column["name"]] = values.astype("int64" if whole else "float64")
    return table


def answers(model: Any, rows: Any) -> Any:
    """The model's own answers, `[rows, width]`: probabilities of a classifier, else values."""
    import numpy as np

    if type(model).__name__ == "Booster":
        found = _booster_answers(model, rows)
    elif hasattr(model, "predict_proba"):
        found = model.predict_proba(rows)
    elif hasattr(model, "classes_"):
        raise TypeError(f"{type(model).__name__} gives no probabilities")
    else:
        found = model.predict(rows)
    found = np.asarray(found, dtype=np.float64)
    return found.reshape(len(rows), -1)


def _booster_answers(model: Any, rows: Any) -> Any:
    import numpy as np

    if hasattr(model, "inplace_predict"):
        import xgboost

        found = model.predict(xgboost.DMatrix(rows, feature_names=model.feature_names))
        objective = str(model.save_config())
        binary = '"binary:logistic"' in objective
    else:
        found = model.predict(rows.to_numpy(dtype=float))
        binary = "binary" in str(model.dump_model().get("objective", ""))
    return np.column_stack([1.0 - found, found]) if binary else found


def convert(model: Any, order: dict[str, Any]) -> Any:
    """The model as an ONNX document."""
    allow_booleans()
    if order["framework"] == "sklearn":
        return convert_sklearn(model, order["columns"])
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(FEATURES, FloatTensorType([None, len(order["columns"])]))]
    if order["framework"] == "xgboost":
        number_features(model, len(order["columns"]))
        return onnxmltools.convert_xgboost(model, initial_types=types, target_opset=15)
    return onnxmltools.convert_lightgbm(model, initial_types=types, target_opset=15, zipmap=False)


def allow_booleans() -> None:
    """Let skl2onnx write lists with booleans in them, which protobuf takes for integers no more."""
    import onnx.helper

    make = onnx.helper.make_attribute

    def make_attribute(key: str, value: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(value, list):
            value = [int(each) if isinstance(each, bool) else each for each in value]
        return make(key, value, *rest, **named)

    onnx.helper.make_attribute = make_attribute


def number_features(model: Any, count: int) -> None:
    """XGBoost's converter knows features by number only."""
    booster = model if type(model).__name__ == "Booster" else model.get_booster()
    booster.feature_names = [f"f{number}" for number in range(count)]


def convert_sklearn(model: Any, columns: list[dict[str, Any]]) -> Any:
    """Each column an input where columns are told apart, else one matrix of numbers."""
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    if not by_name(model, columns):
        types = [(FEATURES, FloatTensorType([None, len(columns)]))]
        return skl2onnx.to_onnx(
            model, initial_types=types, options=_plain_output(model), target_opset=OPSET
        )
    failed: Exception | None = None
    for whole in (True, False):
        try:
            return skl2onnx.to_onnx(
                model,
                initial_types=[(each["name"], _tensor(each["kind"], whole)) for each in columns],
                options=_plain_output(model),
                target_opset=OPSET,
            )
        except Exception as error:  # then with whole numbers as floats; the first reason is told
            failed = failed or error
    raise failed or RuntimeError("not converted")


def by_name(model: Any, columns: list[dict[str, Any]]) -> bool:
    """Whether the model picks columns by name, or takes texts."""
    from sklearn.compose import ColumnTransformer

    steps = [model, *(step for _, step in getattr(model, "steps", ()))]
    if any(isinstance(step, ColumnTransformer) for step in steps):
        return True
    return any(each["kind"] == "string" for each in columns)


def _plain_output(model: Any) -> dict[int, dict[str, bool]] | None:
    return {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None


def _tensor(kind: str, whole: bool) -> Any:
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    if kind == "string":
        return StringTensorType([None, 1])
    return (Int64TensorType if kind == "integer" and whole else FloatTensorType)([None, 1])


def drift(order: dict[str, Any]) -> str:
    """What is to be said when another version of the library made the file."""
    framework = order["framework"]
    made, here = order["settings"].get(MADE_WITH[framework], ""), version(PACKAGES[framework][0])
    if made.split(".")[:2] == here.split(".")[:2]:
        return ""
    said = (
        f"made by {NAMES[framework]} {made}" if made else f"made by an unnamed {NAMES[framework]}"
    )
    return f"{said}, opened by {here}"


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Open, predict the sample, convert, write; a failure is told with the stage it was in."""
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {"stage": "open", "drift": drift(order), "error": ""}
    try:
        model = load(order)
        found |= {"class": f"{type(model).__module__}.{type(model).__name__}", "stage": "predict"}
        outputs = answers(model, frame(order))
        found["stage"] = "convert"
        data = convert(model, order).SerializeToString()
        Path(os.environ["TMPDIR"], TARGET).write_bytes(data)
    except BaseException as error:  # strangers' code raises what it likes; all of it is told
        return found | {"error": f"{type(error).__name__}: {error}"[:500]}
    return found | {
        "stage": "",
        "packages": {name: version(name) for name in PACKAGES[order["framework"]]},
        "outputs": base64.b64encode(outputs.astype("<f8").tobytes()).decode(),
        "shape": list(outputs.shape),
    }
