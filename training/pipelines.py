"""For training scripts: what a fitted sklearn pipeline does, as steps that serving repeats.

mlflow.onnx.log_model(model, metadata={"switchyard": declare(pipeline, frame.head(50))}, …)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import FeatureHasher
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from contracts.declaration import Declaration, Golden
from contracts.preprocessing import (
    Category,
    Clip,
    Hash,
    Impute,
    Log,
    Onehot,
    Ordinal,
    Standardise,
    Step,
    outputs_of,
)

Converted = tuple[list[Step], list[str]]


class Unsupported(TypeError):
    """A transformer, or a setting of one, that no step stands for."""


def declare(pipeline: Any, example: Any, *, outputs: Any = None) -> dict[str, Any]:
    """The declaration of a fitted pipeline, with `example` as its golden rows.

    `pipeline` is a transformer, a ColumnTransformer or a Pipeline of them; a predictor at its end
    is left out, and answers for `outputs` unless they are given. `example` is a pandas frame of
    raw rows, at best with missing values and rare categories among them. Raises Unsupported.
    """
    prepare, predictor = _without_predictor(pipeline)
    names = [str(name) for name in example.columns]
    steps, columns = convert(prepare, names)
    matrix = prepare.transform(example)
    if outputs is None and predictor is not None:
        outputs = _answers(predictor, matrix)
    golden = Golden(
        rows=tuple(dict(zip(names, map(_cell, row), strict=True)) for row in example.to_numpy()),
        columns=tuple(tuple(map(_cell, row)) for row in _dense(matrix)),
        outputs=() if outputs is None else _table(outputs),
    )
    declaration = Declaration(preprocessing=tuple(steps), columns=tuple(columns), golden=golden)
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(declaration))
    return found


def convert(transformer: Any, names: Sequence[str], prefix: str = "") -> Converted:
    """The steps of a fitted transformer over the columns `names`, and the columns after them.

    `prefix` marks the columns of one branch, so that branches which read the same feature do not
    see each other's work. Raises Unsupported.
    """
    if isinstance(transformer, Pipeline):
        return _chain([step for _, step in transformer.steps], list(names), prefix)
    if isinstance(transformer, ColumnTransformer):
        return _branches(transformer, list(names), prefix)
    if transformer is None or transformer == "passthrough":
        return [], list(names)
    for kind, converter in _CONVERTERS.items():
        if isinstance(transformer, kind):
            return converter(transformer, tuple(names), prefix)
    raise Unsupported(f"{type(transformer).__name__} has no step that stands for it")


def _without_predictor(pipeline: Any) -> tuple[Any, Any]:
    if isinstance(pipeline, Pipeline) and hasattr(pipeline.steps[-1][1], "predict"):
        return pipeline[:-1], pipeline.steps[-1][1]
    return pipeline, None


def _answers(predictor: Any, matrix: Any) -> Any:
    ask = getattr(predictor, "predict_proba", predictor.predict)
    return ask(matrix)


def _chain(transformers: Sequence[Any], names: list[str], prefix: str) -> Converted:
    steps: list[Step] = []
    for transformer in transformers:
        made, names = convert(transformer, names, prefix)
        steps += made
        prefix = "" if made else prefix  # from here on the columns are the branch's own
    return steps, names


def _branches(transformer: ColumnTransformer, names: list[str], prefix: str) -> Converted:
    steps: list[Step] = []
    columns: list[str] = []
    for name, branch, chosen in transformer.transformers_:
        if isinstance(branch, str) and branch == "drop":
            continue
        made, left = convert(branch, _chosen(names, chosen, transformer), f"{prefix}{name}__")
        steps += made
        columns += left
    return steps, columns


def _chosen(names: list[str], chosen: Any, transformer: ColumnTransformer) -> list[str]:
    """The names behind whatever a ColumnTransformer takes for columns."""
    if isinstance(chosen, str | int):
        chosen = [chosen]
    if isinstance(chosen, slice):
        return names[chosen]
    if isinstance(chosen, np.ndarray) and chosen.dtype == bool:
        chosen = np.flatnonzero(chosen)
    fitted = [str(name) for name in getattr(transformer, "feature_names_in_", names)]
    return [names[fitted.index(each)] if isinstance(each, str) else names[each] for each in chosen]


def _named(names: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Outputs: none where the column is the branch's own and may change in place."""
    return tuple(prefix + name for name in names) if prefix else ()


def _imputer(fitted: SimpleImputer, names: tuple[str, ...], prefix: str) -> Converted:
    if not _is_missing(fitted.missing_values):
        raise Unsupported(f"SimpleImputer takes {fitted.missing_values!r} for missing")
    values = tuple(_category(value) for value in fitted.statistics_)
    if None in values:
        raise Unsupported(f"SimpleImputer drops {names[values.index(None)]!r}: it has no value")
    marked = set(fitted.indicator_.features_) if fitted.add_indicator else set()
    indicators = tuple(
        f"{prefix}{name} missing" if at in marked else "" for at, name in enumerate(names)
    )
    step = Impute(
        inputs=names,
        outputs=_named(names, prefix),
        values=tuple(value for value in values if value is not None),
        strategy=fitted.strategy,
        indicators=indicators if marked else (),
    )
    return [step], list(outputs_of(step))


def _scaler(fitted: StandardScaler, names: tuple[str, ...], prefix: str) -> Converted:
    mean = np.zeros(len(names)) if fitted.mean_ is None or not fitted.with_mean else fitted.mean_
    scale = np.ones(len(names)) if fitted.scale_ is None else fitted.scale_
    step = Standardise(
        inputs=names,
        outputs=_named(names, prefix),
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
    )
    return [step], list(outputs_of(step))


def _function(fitted: FunctionTransformer, names: tuple[str, ...], prefix: str) -> Converted:
    given: Mapping[str, Any] = fitted.kw_args or {}
    outputs = _named(names, prefix)
    step: Step
    if fitted.func is None:
        return [], list(names)
    if fitted.func is np.log1p:
        step = Log(inputs=names, outputs=outputs)
    elif fitted.func is np.log:
        step = Log(inputs=names, outputs=outputs, offset=0.0)
    elif fitted.func is np.clip:
        low, high = (given.get(key, given.get(f"a_{key}")) for key in ("min", "max"))
        step = Clip(inputs=names, outputs=outputs, low=_float(low), high=_float(high))
    else:
        raise Unsupported(f"FunctionTransformer of {fitted.func!r}: log1p, log and clip have steps")
    return [step], list(outputs_of(step))


def _onehot(fitted: OneHotEncoder, names: tuple[str, ...], prefix: str) -> Converted:
    _refuse_infrequent(fitted)
    if fitted.handle_unknown not in ("ignore", "error"):
        raise Unsupported(f"OneHotEncoder(handle_unknown={fitted.handle_unknown!r})")
    step = Onehot(
        inputs=names,
        categories=_categories(fitted),
        unknown="ignore" if fitted.handle_unknown == "ignore" else "refuse",
    )
    step = msgspec.structs.replace(step, outputs=tuple(prefix + name for name in outputs_of(step)))
    kept, at = [], 0
    dropped = fitted.drop_idx_ if fitted.drop_idx_ is not None else [None] * len(names)
    for categories, drop in zip(step.categories, dropped, strict=True):
        kept += [step.outputs[at + n] for n in range(len(categories)) if n != drop]
        at += len(categories)
    return [step], kept


def _ordinal(fitted: OrdinalEncoder, names: tuple[str, ...], prefix: str) -> Converted:
    _refuse_infrequent(fitted)
    refuse = fitted.handle_unknown == "error"
    step = Ordinal(
        inputs=names,
        outputs=_named(names, prefix),
        categories=tuple(
            tuple(each for each in listed if each is not None) for listed in _categories(fitted)
        ),
        unknown=None if refuse else _float(fitted.unknown_value),
        missing=_missing_code(fitted),
        refuse=refuse,
    )
    return [step], list(outputs_of(step))


def _missing_code(fitted: OrdinalEncoder) -> float | None:
    """Missing has a code of its own where it was seen in training, else it is unknown."""
    seen = [None in listed for listed in _categories(fitted)]
    if any(seen) != all(seen):
        raise Unsupported("OrdinalEncoder saw missing values in some columns only: use two")
    if fitted.handle_unknown == "error" or all(seen):
        return _float(fitted.encoded_missing_value)
    return _float(fitted.unknown_value)


def _hasher(fitted: FeatureHasher, names: tuple[str, ...], prefix: str) -> Converted:
    if fitted.input_type != "dict":
        raise Unsupported("FeatureHasher(input_type) other than 'dict' has no columns by name")
    step = Hash(
        inputs=names,
        outputs=tuple(f"{prefix}hash_{number}" for number in range(fitted.n_features)),
        buckets=fitted.n_features,
        signed=fitted.alternate_sign,
    )
    return [step], list(outputs_of(step))


_CONVERTERS: Mapping[type, Callable[[Any, tuple[str, ...], str], Converted]] = {
    SimpleImputer: _imputer,
    StandardScaler: _scaler,
    FunctionTransformer: _function,
    OneHotEncoder: _onehot,
    OrdinalEncoder: _ordinal,
    FeatureHasher: _hasher,
}


def _refuse_infrequent(fitted: Any) -> None:
    if fitted.min_frequency is not None or fitted.max_categories is not None:
        raise Unsupported(f"{type(fitted).__name__} with infrequent categories")


def _categories(fitted: Any) -> tuple[tuple[Category, ...], ...]:
    return tuple(tuple(map(_category, listed)) for listed in fitted.categories_)


def _category(value: Any) -> Category:
    if _is_missing(value):
        return None
    return value if isinstance(value, str) else float(value)


def _is_missing(value: Any) -> bool:
    """Whether it is None, NaN or pandas' NA."""
    if value is None or isinstance(value, str):
        return value is None
    try:
        return bool(value != value)
    except TypeError:  # pandas' NA will not say
        return True


def _float(value: Any) -> float | None:
    return None if _is_missing(value) else float(value)


def _cell(value: Any) -> Any:
    """A number, text, truth or None that JSON knows."""
    if _is_missing(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _dense(matrix: Any) -> Any:
    if hasattr(matrix, "toarray"):
        return matrix.toarray()
    return matrix.to_numpy() if hasattr(matrix, "to_numpy") else matrix


def _table(outputs: Any) -> tuple[tuple[float, ...], ...]:
    table = np.asarray(outputs, dtype=np.float64)
    return tuple(map(tuple, table.reshape(len(table), -1).tolist()))
