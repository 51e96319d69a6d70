"""Which of a model's input cells stand for which feature: what an explanation speaks of.

Preprocessing may spread a feature over columns, or hash several into the same ones; then they
can only be explained together.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from contracts.preprocessing import Hash, Impute, Onehot, Step, outputs_of
from contracts.schema import ModelSchema

Sources = frozenset[str]


class Attribution(NamedTuple):
    """One contribution: a feature, or several that share a column; `cells` are (tensor, column)."""

    features: tuple[str, ...]
    cells: tuple[tuple[str, int], ...]

    @property
    def name(self) -> str:
        """The feature's name; of several, joined by " + "."""
        return " + ".join(self.features)


def attributions(schema: ModelSchema) -> tuple[Attribution, ...]:
    """What the model's answer is attributed to, in the order of the schema's features.

    A feature that reaches no tensor is left out: its contribution is 0.
    """
    sources = _sources(schema)
    cells = [
        ((tensor.name, column), sources[name])
        for tensor in schema.tensors
        for column, name in enumerate(tensor.features)
    ]
    places = {feature.name: number for number, feature in enumerate(schema.features)}
    groups = [sorted(each, key=places.__getitem__) for each in _merged([f for _, f in cells])]
    return tuple(
        Attribution(tuple(group), tuple(cell for cell, found in cells if found <= set(group)))
        for group in sorted(groups, key=lambda group: places[group[0]])
    )


def _merged(groups: Sequence[Sources]) -> list[Sources]:
    """The groups with those that share a feature joined into one."""
    merged: list[Sources] = []
    for group in groups:
        joined = group.union(*(each for each in merged if each & group))
        merged = [each for each in merged if not each & group] + [joined]
    return merged


def _sources(schema: ModelSchema) -> dict[str, Sources]:
    """The features that each column is made of."""
    sources = {feature.name: frozenset({feature.name}) for feature in schema.features}
    for step in schema.preprocessing:
        given = [sources[name] for name in step.inputs]
        sources |= zip(outputs_of(step), _spread(step, given), strict=True)
    return sources


def _spread(step: Step, given: Sequence[Sources]) -> list[Sources]:
    """The sources of each of the step's outputs."""
    if isinstance(step, Onehot):
        other = 1 if step.unknown == "column" else 0
        pairs = zip(given, step.categories, strict=True)
        return list(chain(*([each] * (len(known) + other) for each, known in pairs)))
    if isinstance(step, Hash) and not step.index:
        return [frozenset[str]().union(*given)] * step.buckets
    if isinstance(step, Impute):
        flagged = zip(given, step.indicators, strict=False)
        return [*given, *(each for each, name in flagged if name)]
    return list(given)
