"""Reads what a rollout is judged on, from monitoring and routing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from apps.deployments.analysis import (
    Evidence,
    Figures,
    LabelPair,
    Labels,
)
from apps.deployments.models import Rollout
from apps.monitoring import selectors as monitoring
from apps.monitoring.selectors import VariantTraffic
from apps.routing.selectors import backend_of
from serving import guardrail

CANDIDATE = "canary"
BASELINE = "stable"
# What a model can be blamed for: not a gateway that is overloaded or broken in itself.
ATTRIBUTABLE = ("model", "timeout", "invalid_output", "unavailable")
# Facts of a second arrive a little later; a window ends now, in the gateways' clocks.
CLOCK_SLACK = timedelta(seconds=5)


def gather(rollout: Rollout, *, now: datetime) -> Evidence:
    """The evidence on `rollout` at `now`. Before its start: only whether it can start."""
    if rollout.started_at is None:
        return Evidence(candidate_ready=backend_of(rollout.candidate) is not None)
    phases = _phases(rollout)
    step = _traffic(rollout, phases[-1:], now)
    total = _traffic(rollout, phases, now)
    peak, failing_units = read_guardrail(rollout)
    return Evidence(
        step_candidate=step.get(CANDIDATE, Figures()),
        step_baseline=step.get(BASELINE, Figures()),
        total_candidate=total.get(CANDIDATE, Figures()),
        total_baseline=total.get(BASELINE, Figures()),
        labels=tuple(_labels(rollout, phase) for phase in phases),
        peak_wealth=peak,
        failing_units=failing_units,
    )


def _phases(rollout: Rollout) -> list[int]:
    """Numbers of the rollout's phases, one a step, the current one last."""
    rows = rollout.endpoint.phases.filter(rollout_key=rollout.key).order_by("number")
    return list(rows.values_list("number", flat=True))


def _traffic(rollout: Rollout, phases: Sequence[int], now: datetime) -> dict[str, Figures]:
    limit_ms = rollout.typed_conditions().p99_fail_ms
    since, until = rollout.started_at or now, now + CLOCK_SLACK
    found = monitoring.traffic(rollout.endpoint.name, since, until, phases=phases)
    return {variant: _figures(seen, limit_ms) for variant, seen in found.items()}


def _figures(seen: VariantTraffic, limit_ms: float) -> Figures:
    errors = sum(seen.errors.get(kind, 0) for kind in ATTRIBUTABLE)
    return Figures(
        requests=seen.requests,
        errors=errors + seen.fallbacks,  # the client got an answer, but not this variant's
        answered=seen.latency.count,
        slow=seen.slower_than(limit_ms),
        p99_ms=seen.p99_ms,
    )


def read_guardrail(rollout: Rollout) -> tuple[float, int]:
    """The highest e-value of the error guardrail so far, and the candidate's failing units.

    Units in the order of their first failure, each with the candidate's share at that moment.
    """
    conditions = rollout.typed_conditions()
    failures = [
        (failure.variant == CANDIDATE, failure.share)
        for failure in monitoring.first_failures(rollout.key)
        if failure.variant in (CANDIDATE, BASELINE)
    ]
    _, peak = guardrail.replay(failures, alpha=conditions.alpha, harm_ratio=conditions.harm_ratio)
    return peak, sum(in_candidate for in_candidate, _ in failures)


def _labels(rollout: Rollout, phase: int) -> LabelPair:
    return LabelPair(
        candidate=_labels_of(rollout, rollout.candidate.version_key, phase),
        baseline=_labels_of(rollout, rollout.baseline.version_key, phase),
    )


def _labels_of(rollout: Rollout, version_key: str, phase: int) -> Labels:
    found = monitoring.accuracy(
        rollout.endpoint.name, version_key, since=rollout.started_at, phase=phase
    )
    return Labels(total=found.total, correct=found.correct)
