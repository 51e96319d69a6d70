"""Declared steps from raw features to a model's tensors, compiled once, vectorised over a batch.

Numbers are float64 from the row to the tensor, where they are rounded once to its type; a missing
number is NaN, a missing text null. A batch equals its rows one by one, to the bit. What sklearn
computes in float64 is computed with the same operations in the same order.
"""

from collections.abc import Sequence
from math import inf, isfinite, isnan, nan

import numpy as np

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
from contracts.schema import ModelSchema
from serving import steps
from serving.columns import Column, Columns, Kind, loader, writer
from serving.packing import Pack, Row, SchemaError
from serving.steps import Apply, Coder, span

MAX_COLUMNS = 100_000


def compile_steps(schema: ModelSchema) -> Pack:
    """The packer of a schema with preprocessing: rows in its order to raw tensors `[rows, k]`.

    Raises SchemaError naming the step and the feature that make no sense together.
    """
    columns = Columns(schema)
    applies = [
        apply
        for number, step in enumerate(schema.preprocessing)
        for apply in _Compiler(columns, step, number).compiled()
    ]
    writes = [writer(tensor, columns) for tensor in schema.tensors]
    load = loader(schema, columns)

    def pack(rows: Sequence[Row]) -> list[bytes]:
        frame = load(rows)
        with np.errstate(all="ignore"):  # the logarithm of 0 is minus infinity, as declared
            for apply in applies:
                apply(frame)
            return [write(frame) for write in writes]

    return pack


class _Compiler:
    """One step: its columns found, checked, and turned into what runs."""

    def __init__(self, columns: Columns, step: Step, number: int) -> None:
        self._columns = columns
        self._step = step
        self._number = number

    def compiled(self) -> list[Apply]:
        """What runs per batch. Its outputs are columns from now on."""
        step = self._step
        if not step.inputs:
            raise self._fault("", "has no inputs")
        if len(set(step.inputs)) < len(step.inputs):
            raise self._fault("", "names an input twice")
        inputs = [self._input(name) for name in step.inputs]
        names = outputs_of(step)
        if len(set(names)) < len(names) or not all(names):
            raise self._fault("", "its outputs need a name each, no two the same")
        if self._columns.numbers + len(names) > MAX_COLUMNS:
            raise self._fault("", f"makes more than {MAX_COLUMNS} columns")
        match step:
            case Impute():
                return self._impute(step, inputs)
            case Onehot():
                return self._onehot(step, inputs, names)
            case Ordinal():
                return self._ordinal(step, inputs, names)
            case Hash():
                return self._hash(step, inputs, names)
            case Standardise() | Clip() | Log():
                return [self._arithmetic(step, inputs, names)]

    def _fault(self, feature: str, said: str) -> SchemaError:
        where = f"preprocessing step {self._number} ({type(self._step).__name__.lower()})"
        return SchemaError(f"{where}, {feature!r}: {said}" if feature else f"{where}: {said}")

    def _input(self, name: str) -> Column:
        column = self._columns.get(name)
        if column is None:
            raise self._fault(name, "is no feature and no column of a step before")
        return column

    def _paired(self, values: Sequence[object], what: str) -> None:
        if len(values) != len(self._step.inputs):
            raise self._fault("", f"{what} has {len(values)} entries, not one per input")

    # Numbers

    def _arithmetic(
        self, step: Standardise | Clip | Log, inputs: list[Column], names: Sequence[str]
    ) -> Apply:
        self._paired(names, "outputs")
        self._require_numbers(inputs)
        source = span([column.slot for column in inputs])
        whole = isinstance(step, Clip) and _whole(step.low) and _whole(step.high)
        target = span(
            [
                self._columns.add(name, _after(column, whole), missing=column.missing)
                for name, column in zip(names, inputs, strict=True)
            ]
        )
        match step:
            case Standardise():
                self._check_standardise(step)
                return steps.standardise(source, target, step.mean, step.scale)
            case Clip():
                self._check_clip(step)
                return steps.clip(source, target, step.low, step.high)
            case Log():
                if not isfinite(step.offset):
                    raise self._fault("", "the offset must be a finite number")
                return steps.log(source, target, step.offset)

    def _require_numbers(self, inputs: list[Column]) -> None:
        for name, column in zip(self._step.inputs, inputs, strict=True):
            if column.text:
                raise self._fault(name, "is text, and this step takes numbers")

    def _check_standardise(self, step: Standardise) -> None:
        self._paired(step.mean, "mean")
        self._paired(step.scale, "scale")
        for name, mean, scale in zip(step.inputs, step.mean, step.scale, strict=True):
            if not isfinite(mean) or not isfinite(scale) or scale == 0:
                raise self._fault(name, f"cannot be standardised by mean {mean}, scale {scale}")

    def _check_clip(self, step: Clip) -> None:
        if step.low is None and step.high is None:
            raise self._fault("", "has neither a low nor a high bound")
        if step.low is not None and step.high is not None and step.low > step.high:
            raise self._fault("", f"its low bound {step.low} is above its high bound {step.high}")

    # Missing values

    def _impute(self, step: Impute, inputs: list[Column]) -> list[Apply]:
        outputs = step.outputs or step.inputs
        indicators = step.indicators or ("",) * len(inputs)
        self._paired(outputs, "outputs")
        self._paired(step.values, "values")
        self._paired(indicators, "indicators")
        numbers: list[tuple[int, int, float]] = []
        applies: list[Apply] = []
        for name, column, value, output in zip(
            step.inputs, inputs, step.values, outputs, strict=True
        ):
            target = self._columns.add(output, self._imputed(name, column, value), missing=False)
            if isinstance(value, str):
                applies.append(steps.impute_text(column.slot, target, value))
            else:
                numbers.append((column.slot, target, value))
        if numbers:
            sources, targets, values = zip(*numbers, strict=True)
            applies.append(steps.impute(span(sources), span(targets), values))
        return applies + self._indicate(indicators, inputs)

    def _imputed(self, name: str, column: Column, value: float | str) -> Kind:
        """The kind of column after its missing values were replaced."""
        if isinstance(value, str):
            if not column.text:
                raise self._fault(name, f"is a number and cannot become {value!r}")
            return "text"
        if column.text or not isfinite(value):
            raise self._fault(name, f"cannot become {value!r}")
        return _after(column, whole=value.is_integer())

    def _indicate(self, names: Sequence[str], inputs: list[Column]) -> list[Apply]:
        """One column for each input that has a name for it."""
        applies: list[Apply] = []
        for name, column in zip(names, inputs, strict=True):
            if not name:
                continue
            target = self._columns.add(name, "binary", missing=False)
            if column.text:
                applies.append(steps.indicate_text(column.slot, target))
            else:
                applies.append(steps.indicate(span([column.slot]), span([target])))
        return applies

    # Categories

    def _onehot(self, step: Onehot, inputs: list[Column], names: Sequence[str]) -> list[Apply]:
        self._paired(step.categories, "categories")
        extra = 1 if step.unknown == "column" else 0
        wanted = sum(len(each) + extra for each in step.categories)
        if len(names) != wanted:
            raise self._fault("", f"has {len(names)} outputs for {wanted} columns")
        applies: list[Apply] = []
        left = list(names)
        for name, column, categories in zip(step.inputs, inputs, step.categories, strict=True):
            coder = self._coder(name, column, categories, refuse=step.unknown == "refuse")
            count = len(categories)
            slots = [self._columns.add(n, "binary", missing=False) for n in left[: count + extra]]
            del left[: count + extra]
            target = slice(slots[0], slots[0] + count)
            applies.append(steps.onehot(coder, target, slots[-1] if extra else None))
        return applies

    def _ordinal(self, step: Ordinal, inputs: list[Column], names: Sequence[str]) -> list[Apply]:
        self._paired(step.categories, "categories")
        self._paired(names, "outputs")
        unknown, missing = (nan if v is None else v for v in (step.unknown, step.missing))
        if any(abs(value) == inf for value in (unknown, missing)):
            raise self._fault("", "a code must be a finite number, or null")
        applies: list[Apply] = []
        for name, column, categories, output in zip(
            step.inputs, inputs, step.categories, names, strict=True
        ):
            coder = self._coder(name, column, categories, refuse=step.refuse)
            others = [] if step.refuse else [unknown]
            others += [missing] if column.missing and None not in categories else []
            kind: Kind = "integer" if all(_whole(each) for each in others) else "number"
            slot = self._columns.add(output, kind, missing=any(isnan(each) for each in others))
            applies.append(steps.ordinal(coder, slot, len(categories), unknown, missing))
        return applies

    def _coder(
        self, name: str, column: Column, categories: Sequence[Category], *, refuse: bool
    ) -> Coder:
        if not categories or len(set(categories)) < len(categories):
            raise self._fault(name, "needs categories, each of them once")
        wanted: type = str if column.text else float
        for category in categories:
            if category is not None and not isinstance(category, wanted):
                raise self._fault(name, f"never equals {category!r}, as it is {column.kind}")
        if refuse:
            self._require_closed(name, column, categories)
        code = steps.code_texts if column.text else steps.code_numbers
        return code(column.slot, categories)

    def _require_closed(self, name: str, column: Column, categories: Sequence[Category]) -> None:
        feature = column.feature
        if feature is None or feature.categories is None:
            raise self._fault(name, "refuses what is unknown, so the feature needs `categories`")
        if not set(feature.categories) <= set(categories):
            raise self._fault(name, "is a feature with more categories than the step knows")

    def _hash(self, step: Hash, inputs: list[Column], names: Sequence[str]) -> list[Apply]:
        if not 1 <= step.buckets <= MAX_COLUMNS or not 0 <= step.seed < 2**32:
            raise self._fault("", f"buckets or seed are out of range: {step.buckets}, {step.seed}")
        if step.index:
            return self._hash_index(step, inputs, names)
        if len(names) != step.buckets:
            raise self._fault("", f"has {len(names)} outputs for {step.buckets} buckets")
        for name, column in zip(step.inputs, inputs, strict=True):
            if not step.named and not column.text:
                raise self._fault(name, "is a number, which only a `named` hash takes")
        whole = all(column.kind != "number" for column in inputs)
        kind: Kind = "integer" if whole else "number"
        slots = [self._columns.add(name, kind, missing=False) for name in names]
        triples = [(n, c.text, c.slot) for n, c in zip(step.inputs, inputs, strict=True)]
        return [steps.hash_columns(triples, slice(slots[0], slots[-1] + 1), step)]

    def _hash_index(self, step: Hash, inputs: list[Column], names: Sequence[str]) -> list[Apply]:
        self._paired(names, "outputs")
        for name, column in zip(step.inputs, inputs, strict=True):
            if not column.text:
                raise self._fault(name, "is a number, and only text is hashed to an index")
        return [
            steps.hash_index(column.slot, self._columns.add(name, "integer", missing=False), step)
            for name, column in zip(names, inputs, strict=True)
        ]


def _after(column: Column, whole: bool) -> Kind:
    """The kind of a column of which some values were replaced by others."""
    return "integer" if whole and column.kind != "number" else "number"


def _whole(bound: float | None) -> bool:
    return bound is None or (isfinite(bound) and bound.is_integer())
