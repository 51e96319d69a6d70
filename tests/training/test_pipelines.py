"""A fitted sklearn pipeline and the steps declared from it prepare the same rows alike."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import FeatureHasher
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from serving.validation import compile_schema
from training.pipelines import Unsupported, convert, declare

KINDS = {"distance": "float", "wind": "float", "month": "integer", "carrier": "string"}


def frame(rows: int, seed: int = 1) -> pd.DataFrame:
    """Distances and winds with gaps, months, carriers with gaps."""
    drawn = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "distance": drawn.lognormal(5, 2, rows),
            "wind": drawn.normal(10, 5, rows),
            "month": drawn.integers(1, 13, rows),
            "carrier": drawn.choice(["AA", "DL", "UA"], rows).astype(object),
        }
    )
    table.loc[drawn.random(rows) < 0.2, "wind"] = np.nan
    table.loc[drawn.random(rows) < 0.2, "carrier"] = None
    return table


def unseen(rows: int = 50) -> pd.DataFrame:
    """Other rows, some with carriers that training never saw."""
    table = frame(rows, seed=2)
    table.loc[::7, "carrier"] = "ZZ"
    return table


def served(transformer: Any, table: pd.DataFrame) -> Any:
    """The table as serving prepares it."""
    steps, columns = convert(transformer, list(table.columns))
    features = tuple(
        FeatureSpec(name=name, kind=kind, required=False, nullable=True, default=None)  # type: ignore[arg-type]  # a kind
        for name, kind in KINDS.items()
        if name in table.columns
    )
    schema = compile_schema(
        ModelSchema(
            features=features,
            tensors=(TensorSpec(name="x", datatype="FP64", features=tuple(columns)),),
            output=OutputSpec(tensor="p"),
            preprocessing=tuple(steps),
        )
    )
    rows = [
        tuple(None if cell != cell else cell for cell in row)
        for row in table.astype(object).itertuples(index=False)
    ]
    (data,) = schema.pack(rows)
    return np.frombuffer(data).reshape(len(table), -1)


def numeric() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True),
        FunctionTransformer(np.clip, kw_args={"a_min": 0.0, "a_max": 1e4}),
        FunctionTransformer(np.log1p),
        StandardScaler(),
    )


def whole(**onehot: Any) -> ColumnTransformer:
    """Everything that has a step; `wind` is read by two branches."""
    return ColumnTransformer(
        [
            ("numbers", numeric(), ["distance", "wind"]),
            ("raw", "passthrough", ["month"]),
            ("scaled", make_pipeline(SimpleImputer(), StandardScaler()), ["wind"]),
            ("carrier", OneHotEncoder(**{"handle_unknown": "ignore", **onehot}), ["carrier"]),
            (
                "code",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="none"),
                    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                ),
                ["carrier"],
            ),
        ]
    )


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("onehot", [{}, {"drop": "first"}, {"sparse_output": False}])
def test_convert__column_transformer__equals_it_on_rows_never_seen(onehot: dict[str, Any]) -> None:
    fitted = whole(**onehot).fit(frame(200))
    theirs = fitted.transform(unseen())
    theirs = theirs.toarray() if hasattr(theirs, "toarray") else theirs
    np.testing.assert_allclose(served(fitted, unseen()), theirs, rtol=1e-14, atol=0)


def test_convert__chained_column_transformers__by_position() -> None:
    first = ColumnTransformer([("filled", SimpleImputer(), ["wind"])], remainder="passthrough")
    second = ColumnTransformer([("scaled", StandardScaler(), [0, -1])])
    table = frame(100)[["distance", "wind", "month"]]
    fitted = make_pipeline(first, second).fit(table)
    np.testing.assert_allclose(served(fitted, table), fitted.transform(table), rtol=1e-14)


def test_convert__missing_seen_by_an_ordinal_encoder__has_its_code() -> None:
    table = frame(60)[["carrier"]]
    fitted = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    ).fit(table)
    asked = unseen()[["carrier"]]
    np.testing.assert_array_equal(served(fitted, asked), fitted.transform(asked))


def test_convert__hasher_of_rows_as_dicts__equals_it() -> None:
    table = frame(30)[["month", "carrier"]]
    hasher = FeatureHasher(8)
    dicts = [
        {name: cell for name, cell in row.items() if cell == cell}
        for row in table.to_dict("records")
    ]
    np.testing.assert_array_equal(served(hasher, table), hasher.transform(dicts).toarray())


@pytest.mark.parametrize(
    ("transformer", "words"),
    [
        (MinMaxScaler(), "MinMaxScaler"),
        (FunctionTransformer(np.sqrt), "log1p, log and clip"),
        (SimpleImputer(missing_values=-1), "takes -1 for missing"),
        (OneHotEncoder(min_frequency=2), "infrequent"),
        (FeatureHasher(4, input_type="string"), "input_type"),
    ],
)
def test_convert__what_has_no_step__refused_in_words(transformer: Any, words: str) -> None:
    fitted = transformer.fit(frame(20)[["month"]])
    with pytest.raises(Unsupported, match=words):
        convert(fitted, ["month"])


def test_declare__pipeline_with_a_predictor__its_answers_are_golden() -> None:
    table = frame(200)
    fitted = make_pipeline(whole(), LogisticRegression(max_iter=2_000))
    fitted.fit(table, table["month"] > 6)
    said = declare(fitted, table.head(3))
    assert said["preprocessing"][0]["step"] == "impute"
    assert len(said["columns"]) == len(said["golden"]["columns"][0]) == 10
    assert said["golden"]["outputs"] == fitted.predict_proba(table.head(3)).tolist()
    assert said["golden"]["rows"][0]["month"] == table["month"][0]
