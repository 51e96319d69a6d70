"""The reference profile of a version: what its training sample looked like, to compare with later.

Frozen with the version: bins by the sample's quantiles and categories, and what fell into them.
`profile_of` gives back the very profile that drift is computed against.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from contracts.schema import FeatureSpec
from serving.bins import BOOLEAN, Bins, CategoryBins, NumericBins, category_bins, numeric_bins
from serving.profile import Layout, Profile

FORMAT = 1
# Below this, sampling alone explains shifts that would count.
COMPARABLE_ROWS = 200
MAX_CATEGORIES = 1_000
SCORE, LABEL = "prediction:score", "prediction:label"
Kind = Literal["number", "category", "flag"]


class Counted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feature, or a prediction.

    A number has bins between `edges`, with the mean of each in `places`; `low`, `high` and `centre`
    are extremes and mean. A category has a cell for each of `frequent`, one for all of `rest`, one
    for new ones. `counts` are rows by cell; `numbers`, `total` and `squares` the moments around
    `centre`.
    """

    name: str
    kind: Kind
    counts: list[int]
    missing: int = 0
    edges: list[float] = []
    places: list[float] = []
    low: float = 0.0
    high: float = 0.0
    centre: float = 0.0
    frequent: list[str] = []
    rest: list[str] = []
    numbers: int = 0
    total: float = 0.0
    squares: float = 0.0

    def bins(self) -> Bins:
        """As they were frozen."""
        if self.kind == "flag":
            return BOOLEAN
        if self.kind == "category":
            return CategoryBins(frequent=tuple(self.frequent), rest=frozenset(self.rest))
        return NumericBins(
            edges=tuple(self.edges),
            places=tuple(self.places),
            low=self.low,
            high=self.high,
            centre=self.centre,
        )


class Reference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of `rows` rows. `empty` are features without any value; `labels` counts logged labels."""

    format: int
    rows: int
    source: Literal["sample", "example"]
    features: list[Counted]
    predictions: list[Counted] = []
    labels: dict[str, int] = {}
    empty: list[str] = []

    @property
    def comparable(self) -> bool:
        """Whether there are rows enough to tell drift from chance."""
        return self.rows >= COMPARABLE_ROWS

    @property
    def label_rate(self) -> float | None:
        """The share of label "1" among logged labels; None where none, or others, were logged."""
        total = sum(self.labels.values())
        return self.labels.get("1", 0) / total if total and set(self.labels) <= {"0", "1"} else None


def reference_of(
    features: Sequence[FeatureSpec],
    rows: Sequence[Mapping[str, Any]],
    *,
    source: Literal["sample", "example"],
    scores: Sequence[float] = (),
    predicted: Sequence[str] = (),
    labels: Mapping[str, int] | None = None,
) -> Reference:
    """Count a sample of raw rows, with the `scores` and labels `predicted` for them."""
    counted: list[Counted] = []
    empty: list[str] = []
    for feature in features:
        found = _counted(feature.name, feature.kind, [row.get(feature.name) for row in rows])
        if found is None:
            empty.append(feature.name)
        else:
            counted.append(found)
    told = (_counted(SCORE, "float", scores), _counted(LABEL, "string", predicted))
    return Reference(
        format=FORMAT,
        rows=len(rows),
        source=source,
        features=counted,
        predictions=[each for each in told if each is not None],
        labels=dict(labels or {}),
        empty=empty,
    )


def profile_of(reference: Reference) -> tuple[Profile, frozenset[str]]:
    """The profile to compare with, and which of its features are predictions."""
    counted = [*reference.features, *reference.predictions]
    layout = Layout.of({each.name: each.bins() for each in counted})
    cells = np.zeros(layout.shape, dtype=np.int64)
    for row, each in zip(cells, counted, strict=True):
        row[: len(each.counts)] = each.counts
    profile = Profile(
        layout,
        cells,
        np.array([each.missing for each in counted], dtype=np.int64),
        np.zeros(len(counted), dtype=np.int64),
        np.array([each.numbers for each in counted], dtype=np.int64),
        np.array([each.total for each in counted], dtype=np.float64),
        np.array([each.squares for each in counted], dtype=np.float64),
    )
    return profile, frozenset(each.name for each in reference.predictions)


def _counted(name: str, kind: str, values: Sequence[Any]) -> Counted | None:
    """The values in bins of their own; None where there is no value."""
    if kind == "boolean":
        column = [None if value is None else bool(value) for value in values]
        return _count(name, "flag", BOOLEAN, column) if any(v is not None for v in column) else None
    try:
        if kind == "string":
            bins: Bins = category_bins(values)
        else:
            bins = numeric_bins([np.nan if value is None else value for value in values])
    except ValueError:
        return None
    if isinstance(bins, CategoryBins) and len(bins.rest) > MAX_CATEGORIES:
        kept = sorted(map(str, bins.rest))[:MAX_CATEGORIES]
        bins = CategoryBins(frequent=bins.frequent, rest=frozenset(kept))
    return _count(name, "category" if kind == "string" else "number", bins, values)


def _count(name: str, kind: Kind, bins: Bins, values: Sequence[Any]) -> Counted:
    column = (
        [np.nan if value is None else value for value in values] if kind == "number" else values
    )
    found = Profile.of(Layout.of({name: bins}), {name: column})
    told: dict[str, Any] = {}
    if isinstance(bins, NumericBins):
        told = {
            "edges": list(bins.edges),
            "places": list(bins.places),
            "low": bins.low,
            "high": bins.high,
            "centre": bins.centre,
            "numbers": int(found.numbers[0]),
            "total": float(found.sums[0]),
            "squares": float(found.squares[0]),
        }
    elif kind == "category":
        told = {"frequent": list(map(str, bins.frequent)), "rest": sorted(map(str, bins.rest))}
    counts = [int(each) for each in found.counts[0][: bins.cells]]
    return Counted(name=name, kind=kind, counts=counts, missing=int(found.missing[0]), **told)
