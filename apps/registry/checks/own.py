"""This floor's checks: what was measured of a version, beside limits and beside the champion."""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from apps.registry.checks.interface import CheckContext, CheckResult, register
from apps.registry.checks.measured import Measured, lower_is_better, measured
from apps.registry.evaluation.statistics import (
    CONFIDENCE,
    Estimate,
    Interval,
    Word,
    at_least,
    difference,
)
from apps.registry.models import ModelVersion
from apps.registry.policy import Verdict

WORDS = {
    Word.WITHIN: Verdict.PASS,
    Word.BEYOND: Verdict.FAIL,
    Word.CANNOT_TELL: Verdict.INCONCLUSIVE,
}
HOW = (
    "log evaluation.parquet (label, score) beside the model, or the sample size as "
    "<metric>_n among its metrics"
)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The one that decides: a failure before what cannot tell, and that before a pass."""
    order = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
    return next((one for one in order if one in verdicts), Verdict.PASS)


def bounds(found: Interval | None) -> dict[str, float] | None:
    """An interval as figures."""
    return {"low": round(found.low, 6), "high": round(found.high, 6)} if found else None


class FloorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`minimum` by metric. `confident`: the whole interval has to reach it, not just the value."""

    minimum: dict[str, float] = {}
    confident: bool = False
    confidence: float = CONFIDENCE


class Floor:
    """Metrics reach the least that the policy asks for."""

    name: ClassVar = "floor"
    title: ClassVar = "Metric floor"

    def applies_to(self, context: CheckContext) -> bool:
        return bool(context.settings.get("minimum"))

    def run(self, context: CheckContext) -> CheckResult:
        wanted = msgspec.convert(dict(context.settings), FloorSettings)
        known = measured(context.version)
        said = [_reached(known, name, least, wanted) for name, least in wanted.minimum.items()]
        figures = {name: figure for (_, _, figure), name in zip(said, wanted.minimum, strict=True)}
        verdict = worst([one for one, _, _ in said])
        return CheckResult(verdict, "; ".join(words for _, words, _ in said), figures)


def _reached(
    known: Measured, name: str, least: float, wanted: FloorSettings
) -> tuple[Verdict, str, dict[str, Any]]:
    found = known.figures.get(name)
    if found is None:
        return Verdict.INCONCLUSIVE, f"{name} was not measured: {HOW}", {"minimum": least}
    interval = found.interval(wanted.confidence)
    figure = {"value": found.value, "minimum": least, "interval": bounds(interval)}
    if not wanted.confident:
        enough = found.value >= least
        words = f"{name} is {found.value:.4g}, {'at least' if enough else 'below'} {least:g}"
        return Verdict.PASS if enough else Verdict.FAIL, words, figure
    if interval is None:
        return Verdict.INCONCLUSIVE, f"the doubt of {name} is not known: {HOW}", figure
    verdict = WORDS[at_least(interval, least)]
    words = f"{name} lies from {interval.low:.4g} to {interval.high:.4g}, {least:g} is needed"
    return verdict, words, figure


class RegressionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`margin` is the loss that is taken for none, in the metric's own unit."""

    metrics: tuple[str, ...] = ()
    margin: float = 0.01
    confidence: float = CONFIDENCE


class Regression:
    """No metric is worse than the champion's by more than the margin, with confidence.

    The bound of the difference's interval decides (a test of non-inferiority): the same figure on
    too few rows cannot tell.
    """

    name: ClassVar = "regression"
    title: ClassVar = "No regression against the champion"

    def applies_to(self, context: CheckContext) -> bool:
        return context.incumbent is not None

    def run(self, context: CheckContext) -> CheckResult:
        champion = context.incumbent
        if champion is None:
            return CheckResult(Verdict.PASS, "there is no champion")
        wanted = msgspec.convert(dict(context.settings), RegressionSettings)
        new, old = measured(context.version), measured(champion)
        names = wanted.metrics or new.shared_with(old)
        if not names:
            nothing = f"nothing was measured of both this version and {champion}: {HOW}"
            return CheckResult(Verdict.INCONCLUSIVE, nothing)
        said = {name: _beside(new, old, name, wanted) for name in names}
        verdict = worst([one for one, _, _ in said.values()])
        words = "; ".join(words for _, words, _ in said.values())
        figures = {name: figure for name, (_, _, figure) in said.items()}
        return CheckResult(verdict, f"beside {champion}: {words}", figures)


def _beside(
    new: Measured, old: Measured, name: str, wanted: RegressionSettings
) -> tuple[Verdict, str, dict[str, Any]]:
    ours, theirs = new.figures.get(name), old.figures.get(name)
    if ours is None or theirs is None:
        whose = "this version" if ours is None else "the champion"
        return Verdict.INCONCLUSIVE, f"{name} was not measured of {whose}: {HOW}", {}
    figure: dict[str, Any] = {"value": ours.value, "champion": theirs.value, "rows": ours.rows}
    found = _gain(ours, theirs, name, wanted.confidence)
    if found is None:
        return Verdict.INCONCLUSIVE, f"the doubt of {name} is not known: {HOW}", figure
    verdict = WORDS[at_least(found, -wanted.margin)]
    figure |= {"gain": bounds(found), "margin": wanted.margin}
    words = (
        f"{name} {ours.value:.4g} against {theirs.value:.4g}, "
        f"better by {found.low:+.4f} to {found.high:+.4f}"
    )
    return verdict, words, figure


def _gain(ours: Estimate, theirs: Estimate, name: str, confidence: float) -> Interval | None:
    """How much better ours is, whichever way the metric points."""
    found = difference(ours, theirs, confidence)
    if found is None or not lower_is_better(name):
        return found
    return Interval(-found.high, -found.low)


class Size:
    """The artifact keeps to the policy's budget: {"most_bytes"}."""

    name: ClassVar = "size"
    title: ClassVar = "Size budget"

    def applies_to(self, context: CheckContext) -> bool:
        return "most_bytes" in context.settings

    def run(self, context: CheckContext) -> CheckResult:
        size, most = context.version.size_bytes, int(context.settings["most_bytes"])
        words = f"{size:,} bytes of {most:,}"
        verdict = Verdict.PASS if size <= most else Verdict.FAIL
        return CheckResult(verdict, words, {"size_bytes": size, "most_bytes": most})


class Latency:
    """One row is answered within the policy's own budget: {"p95_ms"}, as it was examined."""

    name: ClassVar = "latency_budget"
    title: ClassVar = "Latency budget"

    def applies_to(self, context: CheckContext) -> bool:
        return "p95_ms" in context.settings

    def run(self, context: CheckContext) -> CheckResult:
        most, found = float(context.settings["p95_ms"]), _p95(context.version)
        if found is None:
            return CheckResult(Verdict.INCONCLUSIVE, "the examination timed no prediction")
        words = f"p95 of one row is {found:.2f} ms of {most:g}"
        verdict = Verdict.PASS if found <= most else Verdict.FAIL
        return CheckResult(verdict, words, {"p95_ms": found, "most_ms": most})


def _p95(version: ModelVersion) -> float | None:
    newest = version.validations.filter(digest=version.content_digest()).order_by("-id").first()
    figures: list[Mapping[str, Any]] = [
        check.get("figures", {})
        for check in (newest.checks if newest else [])
        if check["name"] == "latency"
    ]
    found = figures[0].get("p95_ms") if figures else None
    return float(found) if found is not None else None


def register_own() -> None:
    """Called once, when the app is ready."""
    from apps.registry.checks.dependencies import Dependencies
    from apps.registry.checks.fairness import Bias, Slices

    for check in (Floor(), Regression(), Size(), Latency(), Slices(), Bias(), Dependencies()):
        register(check)
