"""Judging a candidate: one verdict per metric, each with its sentence. Pure.

A limit is an effect size, an interval is the evidence: what was seen must be beyond the limit, and
chance must not explain it, before a verdict is FAIL. Between the limits for passing and for
failing, and without enough data, a verdict is INCONCLUSIVE and holds the step.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Two-sided 99.9 %: the limits are looked at every second of a ramp.
Z = 3.29
# One broken caller is no reason to withdraw a model for everybody.
MINIMUM_FAILING_UNITS = 3
MINIMUM_FOR_FAILURE = 100
MINIMUM_LABELS_FOR_FAILURE = 50


class Outcome(StrEnum):
    """What is known of one metric."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


class Metric(StrEnum):
    """What is judged."""

    ERRORS = "errors"
    LATENCY = "latency"
    ACCURACY = "accuracy"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Limits of a rollout. Rates and drops are shares (0.01 = 1 %), times ms or seconds.

    The deadlines bound every state that waits: for its start, for a step to pass after its hold,
    for a paused rollout to be resumed, for a human's answer.
    """

    error_rate_pass: float = 0.01
    error_rate_fail: float = 0.02
    error_ratio_fail: float = 2.0
    p99_pass_ms: float = 500.0
    p99_fail_ms: float = 1_000.0
    accuracy_drop_fail: float = 0.05
    alpha: float = 0.01
    harm_ratio: float = 1.0
    start_deadline_s: float = 3_600.0
    step_deadline_s: float = 86_400.0
    pause_deadline_s: float = 604_800.0
    answer_deadline_s: float = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one variant did in a window. `p99_ms` is None without successful answers.

    `answered` counts successful answers, `slow` those of them above the failing p99 limit.
    """

    requests: int = 0
    errors: int = 0
    answered: int = 0
    slow: int = 0
    p99_ms: float | None = None

    @property
    def error_rate(self) -> float | None:
        """Errors per request, or None without requests."""
        return self.errors / self.requests if self.requests else None


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Predictions whose label is known, and how many of them were right."""

    total: int = 0
    correct: int = 0

    @property
    def share(self) -> float:
        """Share right. Raises ZeroDivisionError without labels."""
        return self.correct / self.total

    @property
    def variance(self) -> float:
        """Variance of `share`, with a success and a failure added: none seen is not none."""
        share = (self.correct + 1) / (self.total + 2)
        return share * (1 - share) / self.total


@dataclass(frozen=True, kw_only=True)
class LabelPair:
    """Candidate and baseline in one phase: the same time, the same split."""

    candidate: Labels
    baseline: Labels


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that `judge` may look at.

    `step_*` are of the current step, `total_*` since the rollout began, candidate and baseline
    over the same time; `labels` has one pair per phase of the rollout. `peak_wealth` is the
    highest e-value that the error guardrail reached, `failing_units` the candidate's units with a
    failure. `unavailable` names metrics that could not be read, with the reason.
    """

    candidate_ready: bool = True
    step_candidate: Figures = field(default_factory=Figures)
    step_baseline: Figures = field(default_factory=Figures)
    total_candidate: Figures = field(default_factory=Figures)
    total_baseline: Figures = field(default_factory=Figures)
    labels: tuple[LabelPair, ...] = ()
    peak_wealth: float = 1.0
    failing_units: int = 0
    unavailable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One metric's verdict, in words, with the figures that it rests on."""

    metric: Metric
    outcome: Outcome
    sentence: str
    figures: Mapping[str, float | int | None] = field(default_factory=dict)


def judge(
    evidence: Evidence, conditions: Conditions, *, minimum_requests: int, minimum_labels: int
) -> tuple[Verdict, ...]:
    """A verdict per metric, errors first."""
    verdicts = (
        judge_errors(evidence, conditions, minimum_requests=minimum_requests),
        judge_latency(evidence, conditions, minimum_requests=minimum_requests),
        judge_accuracy(evidence, conditions, minimum_labels=minimum_labels),
    )
    return tuple(_unless_unavailable(verdict, evidence) for verdict in verdicts)


def _unless_unavailable(verdict: Verdict, evidence: Evidence) -> Verdict:
    reason = evidence.unavailable.get(verdict.metric)
    if reason is None:
        return verdict
    sentence = f"{verdict.metric} could not be measured: {reason}"
    return Verdict(metric=verdict.metric, outcome=Outcome.ERROR, sentence=sentence)


def judge_errors(evidence: Evidence, conditions: Conditions, *, minimum_requests: int) -> Verdict:
    """Error rate against its limits, and against the baseline by the e-process on units.

    FAIL needs the effect and the evidence: the e-value passed 1/alpha while the rate is above the
    limit or above `error_ratio_fail` times the baseline's; or the rate's interval lies above the
    limit and more than one caller sees it.
    """
    candidate, baseline = evidence.step_candidate, evidence.step_baseline
    outcome, why = _errors_outcome(evidence, conditions, minimum_requests)
    sentence = (
        f"error rate{_versus(_percent(candidate.error_rate), _percent(baseline.error_rate))}: "
        f"{why}, {_requests(candidate.requests)}"
    )
    figures = {
        "candidate": candidate.error_rate,
        "baseline": baseline.error_rate,
        "limit": conditions.error_rate_pass,
        "requests": candidate.requests,
        "wealth": min(evidence.peak_wealth, 1e12),
        "failing_units": evidence.failing_units,
    }
    return Verdict(metric=Metric.ERRORS, outcome=outcome, sentence=sentence, figures=figures)


def _errors_outcome(
    evidence: Evidence, conditions: Conditions, minimum_requests: int
) -> tuple[Outcome, str]:
    candidate = evidence.step_candidate
    if candidate.errors > candidate.requests:
        return Outcome.ERROR, "more errors than requests were counted"
    crossed = evidence.peak_wealth >= 1 / conditions.alpha
    if crossed and _harmful(evidence, conditions):
        wealth = f"e-value {min(evidence.peak_wealth, 1e9):,.0f}"
        return Outcome.FAIL, f"worse than the baseline beyond chance ({wealth})"
    if _surely_above(candidate.errors, candidate.requests, conditions.error_rate_fail):
        if 0 < evidence.failing_units < MINIMUM_FAILING_UNITS:
            return Outcome.INCONCLUSIVE, f"above the limit for {evidence.failing_units} unit(s)"
        return Outcome.FAIL, f"above the limit of {_percent(conditions.error_rate_fail)}"
    if candidate.requests < max(minimum_requests, 1):
        return Outcome.INCONCLUSIVE, _too_few(candidate.requests, minimum_requests, "requests")
    if crossed:
        return Outcome.INCONCLUSIVE, "worse than the baseline beyond chance, yet within the limits"
    if candidate.errors < conditions.error_rate_pass * candidate.requests:
        return Outcome.PASS, "within the limit"
    return Outcome.INCONCLUSIVE, f"not below {_percent(conditions.error_rate_pass)}"


def _harmful(evidence: Evidence, conditions: Conditions) -> bool:
    """Whether the rate since the start is beyond either failing limit."""
    rate, base = evidence.total_candidate.error_rate, evidence.total_baseline.error_rate
    if rate is None:
        return False
    return rate > conditions.error_rate_fail or (
        base is not None and rate > conditions.error_ratio_fail * base
    )


def _surely_above(count: int, total: int, limit: float) -> bool:
    return total >= MINIMUM_FOR_FAILURE and wilson(count, total)[0] > limit


def judge_latency(evidence: Evidence, conditions: Conditions, *, minimum_requests: int) -> Verdict:
    """p99 of successful answers against its limits.

    FAIL when the share of answers above the failing limit is above 1 % beyond chance, unless the
    baseline is over that limit too: then the cause is elsewhere.
    """
    candidate, baseline = evidence.step_candidate, evidence.step_baseline
    outcome, why = _latency_outcome(candidate, baseline, conditions, minimum_requests)
    sentence = (
        f"latency p99{_versus(_milliseconds(candidate.p99_ms), _milliseconds(baseline.p99_ms))}: "
        f"{why}, {_requests(candidate.answered)} answered"
    )
    figures = {
        "candidate": candidate.p99_ms,
        "baseline": baseline.p99_ms,
        "limit": conditions.p99_pass_ms,
        "answered": candidate.answered,
    }
    return Verdict(metric=Metric.LATENCY, outcome=outcome, sentence=sentence, figures=figures)


def _latency_outcome(
    candidate: Figures, baseline: Figures, conditions: Conditions, minimum_requests: int
) -> tuple[Outcome, str]:
    if _surely_above(candidate.slow, candidate.answered, 0.01):
        if baseline.p99_ms is not None and baseline.p99_ms > conditions.p99_fail_ms:
            return Outcome.INCONCLUSIVE, "both are slow, so the candidate is not the cause"
        return Outcome.FAIL, f"above the limit of {_milliseconds(conditions.p99_fail_ms)}"
    if candidate.p99_ms is None or candidate.answered < max(minimum_requests, 1):
        return Outcome.INCONCLUSIVE, _too_few(candidate.answered, minimum_requests, "answers")
    if candidate.p99_ms < conditions.p99_pass_ms:
        return Outcome.PASS, "within the limit"
    return Outcome.INCONCLUSIVE, f"not below {_milliseconds(conditions.p99_pass_ms)}"


def judge_accuracy(evidence: Evidence, conditions: Conditions, *, minimum_labels: int) -> Verdict:
    """Accuracy against the baseline's, stratified by phase.

    FAIL when the candidate is below (1 - accuracy_drop_fail) times the baseline by an interval
    that may be looked at any time; PASS when it is not below the baseline, or surely not below
    that margin. A step that asks for no labels is not held for want of them.
    """
    comparison = compare_accuracy(evidence.labels, conditions)
    outcome, why = _accuracy_outcome(evidence.labels, comparison, minimum_labels)
    total = sum(pair.candidate.total for pair in evidence.labels)
    found = (comparison.candidate, comparison.baseline) if comparison else (None, None)
    sentence = (
        f"accuracy{_versus(_percent(found[0]), _percent(found[1]))}: "
        f"{why}, {total:,} labels have arrived"
    )
    figures = {
        "candidate": found[0],
        "baseline": found[1],
        "low": comparison.low if comparison else None,
        "high": comparison.high if comparison else None,
        "labels": total,
        "baseline_labels": sum(pair.baseline.total for pair in evidence.labels),
    }
    return Verdict(metric=Metric.ACCURACY, outcome=outcome, sentence=sentence, figures=figures)


def _accuracy_outcome(
    labels: Sequence[LabelPair], comparison: "AccuracyComparison | None", minimum_labels: int
) -> tuple[Outcome, str]:
    if any(side.correct > side.total for p in labels for side in (p.candidate, p.baseline)):
        return Outcome.ERROR, "more right answers than labels were counted"
    fewest = comparison.fewest if comparison else 0
    if comparison and fewest >= MINIMUM_LABELS_FOR_FAILURE and comparison.high < 0:
        return Outcome.FAIL, "further below the baseline than allowed, beyond chance"
    if comparison and fewest >= minimum_labels:
        if comparison.candidate >= comparison.baseline:
            return Outcome.PASS, "not below the baseline"
        if comparison.low > 0:
            return Outcome.PASS, "below the baseline, by less than the limit"
    if minimum_labels == 0:
        return Outcome.PASS, "no labels are required at this step"
    if fewest < minimum_labels:
        return Outcome.INCONCLUSIVE, _too_few(fewest, minimum_labels, "labels")
    return Outcome.INCONCLUSIVE, "below the baseline, not beyond chance"


@dataclass(frozen=True, kw_only=True)
class AccuracyComparison:
    """Stratified accuracies, and the interval of p_candidate - (1 - drop) p_baseline."""

    candidate: float
    baseline: float
    low: float
    high: float
    fewest: int


def compare_accuracy(
    labels: Sequence[LabelPair], conditions: Conditions
) -> AccuracyComparison | None:
    """Compare within each phase and join the phases; None where no phase has both sides.

    Phases weigh n_c n_b / (n_c + n_b), so a time when only one side served counts for nothing.
    The interval is the asymptotic confidence sequence of Waudby-Smith et al. (2024), sharpest at
    1,000 labels: it holds however often it is looked at.
    """
    pairs = [pair for pair in labels if pair.candidate.total and pair.baseline.total]
    if not pairs:
        return None
    raw = [1 / (1 / p.candidate.total + 1 / p.baseline.total) for p in pairs]
    weights = [each / sum(raw) for each in raw]
    factor = 1 - conditions.accuracy_drop_fail
    candidate = sum(w * p.candidate.share for w, p in zip(weights, pairs, strict=True))
    baseline = sum(w * p.baseline.share for w, p in zip(weights, pairs, strict=True))
    variance = sum(
        w * w * (p.candidate.variance + factor**2 * p.baseline.variance)
        for w, p in zip(weights, pairs, strict=True)
    )
    counts = [sum(p.candidate.total for p in pairs), sum(p.baseline.total for p in pairs)]
    half = math.sqrt(variance * sum(counts)) * _sequence_width(sum(counts), conditions.alpha)
    middle = candidate - factor * baseline
    return AccuracyComparison(
        candidate=candidate,
        baseline=baseline,
        low=middle - half,
        high=middle + half,
        fewest=min(counts),
    )


def _sequence_width(total: int, alpha: float, sharpest_at: int = 1_000) -> float:
    """Half width per unit of standard deviation after `total` observations."""
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / sharpest_at
    scaled = total * rho2 + 1
    return math.sqrt(2 * scaled / (total**2 * rho2) * math.log(math.sqrt(scaled) / alpha))


def wilson(count: int, total: int, z: float = Z) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); (0, 1) without observations."""
    if total <= 0:
        return 0.0, 1.0
    share, square = count / total, z * z
    centre = share + square / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    scale = 1 + square / total
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _too_few(found: int, wanted: int, what: str) -> str:
    return f"{found:,} of {max(wanted, 1):,} {what} so far" if found else "no data yet"


def _versus(candidate: str, baseline: str) -> str:
    """ " 0.4 % vs 0.3 %", without the side that is not known."""
    if not candidate:
        return ""
    return f" {candidate} vs {baseline}" if baseline else f" {candidate}"


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    digits = 2 if 0 < share < 0.001 else 1
    return f"{100 * share:.{digits}f} %"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def _requests(count: int) -> str:
    return f"{count:,} request{'' if count == 1 else 's'}"
