"""Checks of groups: each slice is good enough, and no group is treated much unlike another.

Demographic parity difference: how far the selection rates of two groups are apart at most.
Equalised odds difference: the larger of that for true and for false positive rates. Both as
fairlearn defines them (Agarwal et al. 2018; fairlearn.metrics), here with an interval.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from apps.registry.checks.interface import CheckContext, CheckResult
from apps.registry.checks.measured import evaluated
from apps.registry.evaluation.statistics import (
    CONFIDENCE,
    Estimate,
    Word,
    at_least,
    at_most,
    largest_gap,
)
from apps.registry.evaluation.table import Cell, Evaluated, estimates
from apps.registry.policy import Verdict

LEAST_ROWS = 100
NO_TABLE = "no evaluation table was logged: log evaluation.parquet with label, score and groups"
VERDICTS = {
    Word.WITHIN: Verdict.PASS,
    Word.BEYOND: Verdict.FAIL,
    Word.CANNOT_TELL: Verdict.INCONCLUSIVE,
}
# By the policy's word: the rates whose gaps it bounds.
RATES = {
    "demographic_parity": ("selection_rate",),
    "equalised_odds": ("recall", "false_positive_rate"),
}


class SliceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every value of `columns` (empty: of each) with `minimum_rows` or more has to reach
    `minimum`."""

    minimum: float
    metric: str = "accuracy"
    columns: tuple[str, ...] = ()
    minimum_rows: int = LEAST_ROWS
    confidence: float = CONFIDENCE


class Slices:
    """No slice of the evaluated rows is worse than the policy bears.

    A slice fails when its whole interval lies below (Bonferroni over the slices), and passes when
    its figure reaches the limit; in between it cannot tell.
    """

    name: ClassVar = "slices"
    title: ClassVar = "Slice metrics"

    def applies_to(self, context: CheckContext) -> bool:
        return "minimum" in context.settings

    def run(self, context: CheckContext) -> CheckResult:
        wanted = msgspec.convert(dict(context.settings), SliceSettings)
        table = evaluated(context.version)
        if table is None:
            return CheckResult(Verdict.INCONCLUSIVE, NO_TABLE)
        missing = [name for name in wanted.columns if name not in table.groups]
        if missing:
            said = f"the evaluation table has no column {', '.join(missing)} to slice by"
            return CheckResult(Verdict.INCONCLUSIVE, said)
        return _judge_slices(table, wanted)


def _judge_slices(table: Evaluated, wanted: SliceSettings) -> CheckResult:
    found = {
        f"{column}={value}": figure
        for column in wanted.columns or table.groups
        for value, cell in table.groups[column].items()
        if cell.rows >= wanted.minimum_rows
        and (figure := estimates(table, cell).get(wanted.metric)) is not None
    }
    if not found:
        said = f"no slice has the {wanted.minimum_rows} rows that it takes"
        return CheckResult(Verdict.INCONCLUSIVE, said)
    each = 1.0 - (1.0 - wanted.confidence) / len(found)
    verdicts = {name: _slice(figure, wanted.minimum, each) for name, figure in found.items()}
    bad = [name for name, verdict in verdicts.items() if verdict is Verdict.FAIL]
    unclear = [name for name, verdict in verdicts.items() if verdict is Verdict.INCONCLUSIVE]
    lowest = min(found, key=lambda name: found[name].value)
    words = f"{wanted.metric} is lowest for {lowest}: {found[lowest].value:.4g}"
    if bad:
        words = f"below {wanted.minimum:g}: {', '.join(bad)}; {words}"
    elif unclear:
        words = f"cannot tell for {', '.join(unclear)}: more rows would; {words}"
    verdict = Verdict.FAIL if bad else Verdict.INCONCLUSIVE if unclear else Verdict.PASS
    return CheckResult(verdict, words, _slice_figures(found, verdicts, wanted.minimum))


def _slice(figure: Estimate, minimum: float, confidence: float) -> Verdict:
    if figure.value >= minimum:
        return Verdict.PASS
    interval = figure.interval(confidence)
    below = interval is not None and at_least(interval, minimum) is Word.BEYOND
    return Verdict.FAIL if below else Verdict.INCONCLUSIVE


def _slice_figures(
    found: Mapping[str, Estimate], verdicts: Mapping[str, Verdict], minimum: float
) -> dict[str, Any]:
    slices = [
        {
            "slice": name,
            "value": round(figure.value, 6),
            "rows": figure.rows,
            "verdict": verdicts[name].value,
        }
        for name, figure in sorted(found.items(), key=lambda pair: pair[1].value)
    ]
    return {"minimum": minimum, "slices": slices[:100]}


class BiasSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`groups` are columns of the evaluation table; the limits are differences of rates, 0 to 1.

    A group with fewer than `minimum_rows` rows is not judged, and so the check cannot tell.
    """

    groups: tuple[str, ...]
    demographic_parity: float | None = None
    equalised_odds: float | None = None
    minimum_rows: int = LEAST_ROWS
    confidence: float = CONFIDENCE


class Bias:
    """Declared groups are treated alike, as far as the policy asks."""

    name: ClassVar = "bias"
    title: ClassVar = "Bias"

    def applies_to(self, context: CheckContext) -> bool:
        return bool(context.settings.get("groups"))

    def run(self, context: CheckContext) -> CheckResult:
        wanted = msgspec.convert(dict(context.settings), BiasSettings)
        table = evaluated(context.version)
        if table is None:
            return CheckResult(Verdict.INCONCLUSIVE, NO_TABLE)
        if table.kind != "binary":
            return CheckResult(Verdict.INCONCLUSIVE, "it takes a model of two classes")
        limits = {name: limit for name in RATES if (limit := getattr(wanted, name)) is not None}
        said = [
            _judge_gap(table, column, name, limit, wanted)
            for column in wanted.groups
            for name, limit in limits.items()
        ]
        verdicts = [one for one, _, _ in said]
        order = (Verdict.FAIL, Verdict.INCONCLUSIVE)
        verdict = next((one for one in order if one in verdicts), Verdict.PASS)
        words = "; ".join(words for _, words, _ in said) or "the policy sets no limit"
        return CheckResult(verdict, words, {"gaps": [figure for _, _, figure in said]})


def _judge_gap(
    table: Evaluated, column: str, name: str, limit: float, wanted: BiasSettings
) -> tuple[Verdict, str, dict[str, Any]]:
    cells = table.groups.get(column)
    figure: dict[str, Any] = {"groups": column, "measure": name, "limit": limit}
    measure = name.replace("_", " ")
    if cells is None:
        said = f"the evaluation table has no column {column} to group by"
        return Verdict.INCONCLUSIVE, said, figure
    small = sorted(value for value, cell in cells.items() if cell.rows < wanted.minimum_rows)
    large = {value: cell for value, cell in cells.items() if value not in small}
    gaps = [
        gap
        for rate in RATES[name]
        if (gap := largest_gap(_rates(table, large, rate), wanted.confidence)) is not None
    ]
    if not gaps:
        said = f"{column} has no two groups of {wanted.minimum_rows} rows"
        return Verdict.INCONCLUSIVE, said, {**figure, "too_small": small}
    widest = max(gaps, key=lambda gap: gap.value)
    words = [at_most(gap.interval, limit) for gap in gaps]
    word = next((one for one in (Word.BEYOND, Word.CANNOT_TELL) if one in words), Word.WITHIN)
    verdict = VERDICTS[word]
    if small and verdict is Verdict.PASS:
        verdict = Verdict.INCONCLUSIVE
    low, high = max(g.interval.low for g in gaps), max(g.interval.high for g in gaps)
    said = (
        f"{measure} by {column} differs by {widest.value:.3f} ({low:.3f} to {high:.3f}) between "
        f"{widest.groups[0]} and {widest.groups[1]}, {limit:g} is allowed"
    )
    if small:
        said += f"; too few rows to judge {', '.join(small)}"
    figure |= {"value": widest.value, "low": low, "high": high, "between": list(widest.groups)}
    return verdict, said, {**figure, "too_small": small}


def _rates(table: Evaluated, cells: Mapping[str, Cell], rate: str) -> dict[str, Estimate]:
    found = {value: estimates(table, cell).get(rate) for value, cell in cells.items()}
    return {value: figure for value, figure in found.items() if figure is not None}
