"""What a rollout's transitions do to the endpoint: at most one generation each."""

from datetime import datetime

from apps.accounts.access import Principal, system
from apps.deployments.errors import RollbackRefused
from apps.deployments.models import Rollout
from apps.deployments.rollout import Trigger, next_index
from apps.deployments.services.traffic import CANARY, STABLE, split
from apps.events.errors import NotFound
from apps.registry.promotion import Stage
from apps.registry.services import deprecate, reinstate
from apps.routing.models import Endpoint, Generation
from apps.routing.services import (
    acknowledge_override,
    finish_ramp,
    reallocate,
    release_lease,
    restore_phase,
)
from contracts.routing import BUCKETS, Guardrail

ROLLOUTS = system("rollout")
STEPS = frozenset({Trigger.START, Trigger.ADVANCE, Trigger.PROMOTE})
WAYS_BACK = frozenset({Trigger.FAIL, Trigger.ROLL_BACK, Trigger.ABORT, Trigger.EXPIRE})


def follow(
    actor: Principal, rollout: Rollout, trigger: Trigger, *, reason: str, now: datetime
) -> None:
    """Change routing as `trigger` asks; `rollout` is swapped already, in this transaction."""
    if trigger in STEPS:
        _take_step(rollout, trigger, reason=reason, now=now)
    elif trigger is Trigger.COMPLETE:
        _complete(rollout, reason=reason)
    elif trigger in WAYS_BACK and rollout.ended_at is not None:
        _go_back(actor, rollout, reason=reason)


def _take_step(rollout: Rollout, trigger: Trigger, *, reason: str, now: datetime) -> None:
    index = next_index(rollout.snapshot(), trigger)
    weight = rollout.typed_steps()[index].weight
    endpoint = _endpoint(rollout)
    generation = reallocate(
        actor=ROLLOUTS,
        endpoint=endpoint,
        holder=rollout.key,
        expected_revision=endpoint.revision,
        weights=split(rollout.baseline, rollout.candidate, weight),
        reason=reason,
        new_candidate=trigger is Trigger.START,
        rollout_key=rollout.key,
        guardrails=_guardrails(rollout, weight),
        carry=True,
    )
    rollout.step_index, rollout.step_phase = index, generation.phase.number
    rollout.generation, rollout.step_started_at = generation.number, now
    rollout.started_at = rollout.started_at or now
    rollout.save(
        update_fields=[
            "step_index",
            "step_phase",
            "generation",
            "step_started_at",
            "started_at",
        ]
    )


def _guardrails(rollout: Rollout, weight: int) -> list[Guardrail]:
    """What gateways watch by themselves; with everybody on the candidate nothing compares."""
    if weight >= BUCKETS:
        return []
    conditions = rollout.typed_conditions()
    return [
        Guardrail(
            rollout=rollout.key,
            candidate=CANARY,
            baseline=STABLE,
            alpha=conditions.alpha,
            harm_ratio=conditions.harm_ratio,
        )
    ]


def _complete(rollout: Rollout, *, reason: str) -> None:
    """The candidate becomes the stable version, alone; the old one serves nobody and is kept."""
    endpoint = _endpoint(rollout)
    generation = finish_ramp(
        actor=ROLLOUTS,
        endpoint=endpoint,
        holder=rollout.key,
        expected_revision=endpoint.revision,
        candidate=CANARY,
        reason=f"ramp completed: {reason}",
    )
    _remember(rollout, generation)
    release_lease(actor=ROLLOUTS, endpoint=endpoint, holder=rollout.key)
    _deprecate_baseline(rollout)


def _deprecate_baseline(rollout: Rollout) -> None:
    baseline = rollout.baseline
    baseline.refresh_from_db(fields=["stage", "allowance"])
    elsewhere = Endpoint.objects.serving(baseline).exclude(pk=rollout.endpoint_id)
    if baseline.is_at_the_top and not elsewhere.exists():
        deprecate(
            actor=ROLLOUTS,
            version=baseline,
            reason=f"replaced by {rollout.candidate.version_key} on {rollout.endpoint.name}",
        )


def _go_back(actor: Principal, rollout: Rollout, *, reason: str) -> None:
    """Restore the phase before the rollout exactly, in one generation; then tidy up."""
    if rollout.started_at is None:
        release_lease(actor=ROLLOUTS, endpoint=rollout.endpoint, holder=rollout.key)
        return
    endpoint = _endpoint(rollout)
    holder = rollout.key if endpoint.lease_holder == rollout.key else ""
    if not holder:
        _require_untouched(rollout, endpoint)
    generation = restore_phase(
        actor=actor,
        endpoint=endpoint,
        holder=holder,
        expected_revision=endpoint.revision,
        phase_number=rollout.baseline_phase,
        reason=reason,
    )
    _remember(rollout, generation)
    _acknowledge(rollout, endpoint)
    _reinstate_baseline(rollout, reason)
    if holder:
        release_lease(actor=ROLLOUTS, endpoint=endpoint, holder=holder)


def _require_untouched(rollout: Rollout, endpoint: Endpoint) -> None:
    """After completion the endpoint is anybody's: go back only from what the rollout left."""
    newest = endpoint.generations.order_by("-epoch", "-number").first()
    phase = endpoint.phase
    if newest is None or phase is None or phase.number != rollout.step_phase:
        raise RollbackRefused(
            f"{endpoint.name} has been changed since this rollout was completed: "
            "restore the phase that you want on the endpoint itself"
        )


def _acknowledge(rollout: Rollout, endpoint: Endpoint) -> None:
    """Gateways that withdrew the candidate by themselves may forget it: nobody has it now."""
    try:
        acknowledge_override(
            actor=ROLLOUTS,
            endpoint=endpoint,
            rollout_key=rollout.key,
            variant=CANARY,
            reason="the rollout was taken back",
        )
    except NotFound:
        return  # no gateway did


def _reinstate_baseline(rollout: Rollout, reason: str) -> None:
    """What serves everybody again stands where it stood."""
    baseline = rollout.baseline
    baseline.refresh_from_db(fields=["stage"])
    if baseline.stage == Stage.DEPRECATED and rollout.state == "rolled_back":
        reinstate(actor=ROLLOUTS, version=baseline, reason=reason)


def _remember(rollout: Rollout, generation: Generation) -> None:
    rollout.generation, rollout.step_phase = generation.number, generation.phase.number
    rollout.save(update_fields=["generation", "step_phase"])


def _endpoint(rollout: Rollout) -> Endpoint:
    """The endpoint with its newest revision."""
    return Endpoint.objects.select_related("team", "model").get(pk=rollout.endpoint_id)
