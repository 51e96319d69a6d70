"""The steps from raw features to the columns that a model was trained on: data, no code.

A step reads named columns and writes named columns; the steps of a version run in order, each on
what is there after the one before. Numbers are float64 throughout; a missing number is NaN, a
missing text is null. `serving.preprocessing` says what each step computes, to the bit.
"""

from typing import Literal

import msgspec

Unknown = Literal["ignore", "column", "refuse"]
Category = float | str | None


class _Step(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="step", tag=str.lower
):
    """Columns `inputs` become `outputs`, one each and by default under the same name."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()


class Impute(_Step, frozen=True, kw_only=True):
    """A missing input becomes its value in `values`.

    `strategy` tells how the values were found and changes nothing. `indicators` names one further
    column per input, 1 where the input was missing and 0 elsewhere; "" means none for that input.
    """

    values: tuple[float | str, ...]
    strategy: Literal["constant", "mean", "median", "most_frequent"] = "constant"
    indicators: tuple[str, ...] = ()


class Standardise(_Step, frozen=True, kw_only=True):
    """(input - mean) / scale."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]


class Clip(_Step, frozen=True, kw_only=True):
    """Not below `low`, not above `high`: one bound for all inputs, None for no bound."""

    low: float | None = None
    high: float | None = None


class Log(_Step, frozen=True, kw_only=True):
    """The natural logarithm of input + offset; offset 1 is log1p, exact near zero.

    Of 0 it is minus infinity, of less NaN: let a bound of the feature or a clip prevent it.
    """

    offset: float = 1.0


class Onehot(_Step, frozen=True, kw_only=True):
    """One column per category of each input, 1 where it is the input's value.

    `categories` has one tuple per input; null in it is the missing value. `outputs` default to
    "input=category". A value in no category has 0 everywhere ("ignore"), 1 in a column of its own
    after the input's others, by default "input=other" ("column"), or cannot come: the input is a
    feature whose `categories` are closed ("refuse").
    """

    categories: tuple[tuple[Category, ...], ...]
    unknown: Unknown = "ignore"


class Ordinal(_Step, frozen=True, kw_only=True):
    """The position of the input in its `categories`, one tuple per input.

    Any other value becomes `unknown`; a missing one `missing`, unless null is a category. null
    for either means a missing number. With `refuse` no other value can come: the input is a
    feature whose `categories` are closed.
    """

    categories: tuple[tuple[Category, ...], ...]
    unknown: float | None = None
    missing: float | None = None
    refuse: bool = False


class Hash(_Step, frozen=True, kw_only=True):
    """All inputs hashed into `buckets` columns, as sklearn's FeatureHasher does with seed 0.

    The algorithm is MurmurHash3 x86 32-bit of UTF-8. A text adds 1 (or, `signed`, minus 1 where
    the hash is negative) to the column abs(hash) mod buckets of "input=text" (`named`, the
    hasher's "dict") or of the text alone (its "string"); a number adds itself to the column of its
    name. Missing adds nothing. `outputs` are `buckets` names, by default "hash_0", "hash_1", ….
    With `index` each text becomes one number instead, its unsigned hash mod buckets, as embedding
    tables take it; the missing text counts as "".
    """

    buckets: int
    seed: int = 0
    named: bool = True
    signed: bool = True
    index: bool = False


Step = Impute | Standardise | Clip | Log | Onehot | Ordinal | Hash


def outputs_of(step: Step) -> tuple[str, ...]:
    """The names of all columns that a step writes, in order, indicators last."""
    if isinstance(step, Onehot):
        return step.outputs or _onehot_names(step)
    if isinstance(step, Hash) and not step.index:
        return step.outputs or tuple(f"hash_{number}" for number in range(step.buckets))
    names = step.outputs or step.inputs
    if isinstance(step, Impute):
        return (*names, *(name for name in step.indicators if name))
    return names


def _onehot_names(step: Onehot) -> tuple[str, ...]:
    names: list[str] = []
    for name, categories in zip(step.inputs, step.categories, strict=False):
        names += [f"{name}={_text(category)}" for category in categories]
        names += [f"{name}=other"] if step.unknown == "column" else []
    return tuple(names)


def _text(category: Category) -> str:
    if category is None:
        return "missing"
    if isinstance(category, str):
        return category
    return str(int(category)) if category.is_integer() else repr(category)
