"""Models of other frameworks, trained where their libraries are; and hostile pickles."""

import json
import subprocess
from pathlib import Path
from typing import Any

from apps.registry.conversion.sandbox import environment_of

COLUMNS = {"carrier": "string", "stops": "long", "distance": "double", "wind": "double"}
NUMBERS = dict.fromkeys(("stops", "distance", "wind"), "double")
TRAINING = """
import pickle, sys
import cloudpickle, lightgbm, numpy, pandas, skops.io, xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

draw, rows = numpy.random.default_rng(7), 300
flights = pandas.DataFrame({
    "carrier": draw.choice(["AA", "UA", "B6"], rows).astype(object),
    "stops": draw.integers(0, 3, rows),
    "distance": draw.normal(500, 100, rows),
    "wind": draw.normal(10, 3, rows),
})
late = ((flights.distance > 520) | (flights.carrier == "UA")).astype(int)
numbers = flights[["stops", "distance", "wind"]].astype(float)
prepare = ColumnTransformer([
    ("texts", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
    ("numbers", StandardScaler(), ["distance", "wind", "stops"]),
])
pipeline = Pipeline([("prepare", prepare), ("model", LogisticRegression())]).fit(flights, late)
skops.io.dump(pipeline, "pipeline.skops")
cloudpickle.dump(pipeline, open("pipeline.pkl", "wb"))
trees = HistGradientBoostingClassifier(max_iter=5).fit(numbers, late)
pickle.dump(trees, open("trees.pkl", "wb"))
regressor = GradientBoostingRegressor(n_estimators=5).fit(numbers, flights.distance)
pickle.dump(regressor, open("regressor.pkl", "wb"))
xgboost.XGBClassifier(n_estimators=5).fit(numbers, late).save_model("classifier.ubj")
lgbm = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(numbers, late)
lgbm.booster_.save_model("booster.lgb")
flights.head(200).to_json("rows.json", orient="records")
numbers.head(200).to_json("numbers.json", orient="records")
"""


def train(folder: Path) -> None:
    """Fit and save one model of each kind, and the rows that show what they answer."""
    command = [environment_of("conversion"), "-W", "ignore", "-c", TRAINING]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # our own


def signature(columns: dict[str, str]) -> dict[str, Any]:
    """MLflow's signature of these columns."""
    inputs = [{"name": name, "type": kind, "required": True} for name, kind in columns.items()]
    return {"inputs": inputs, "outputs": []}


def mlmodel(flavor: str, data: str, columns: dict[str, str], **settings: str) -> str:
    """An MLmodel file."""
    key = {"sklearn": "pickled_model"}.get(flavor, "data")
    said = "".join(f", {name}: '{value}'" for name, value in settings.items())
    inputs = json.dumps(signature(columns)["inputs"])
    return (
        f"flavors: {{{flavor}: {{{key}: {data}{said}}}}}\n"
        f"saved_input_example_info: {{artifact_path: input_example.json}}\n"
        f"signature: {{inputs: '{inputs}'}}\n"
    )


def pickled(code: str) -> bytes:
    """A pickle that runs `code` when it is opened."""
    return (
        b"cbuiltins\nexec\n(V"
        + code.encode("raw_unicode_escape").replace(b"\n", b"\\u000a")
        + b"\ntR."
    )
