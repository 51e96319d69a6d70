"""Rollouts: created, moved by ticks and by people, and taken back in one generation.

Every transition is one transaction: compare-and-swap on `(state, revision)`, the routing change
and the event. A process that dies before the commit has done nothing; of two that race, one wins.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog
from django.db import transaction
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.deployments.analysis import Conditions
from apps.deployments.errors import Invalid, NothingToReplace, TransitionRefused
from apps.deployments.evidence import gather
from apps.deployments.models import Rollout
from apps.deployments.rollout import (
    Decision,
    State,
    Step,
    Trigger,
    after,
    decide,
    default_conditions,
    default_steps,
    promotion,
)
from apps.deployments.services.plans import check_conditions, check_steps
from apps.deployments.services.routes import follow
from apps.deployments.services.traffic import check_approval, incumbent_of, split
from apps.deployments.services.verdicts import write_verdicts
from apps.events.errors import Conflict
from apps.events.services import record
from apps.registry.models import ModelVersion
from apps.routing.errors import LeaseHeld
from apps.routing.models import Endpoint
from apps.routing.services import acquire_lease, preview

log = structlog.get_logger(__name__)

ROLLOUTS = system("rollout")

# The verb of each transition; a failed metric and a person's rollback read alike in the log.
VERBS = {
    Trigger.START: "rollout.started",
    Trigger.ADVANCE: "rollout.step_passed",
    Trigger.COMPLETE: "rollout.completed",
    Trigger.EXPIRE: "rollout.deadline_passed",
    Trigger.FAIL: "rollout.rolled_back",
    Trigger.PAUSE: "rollout.paused",
    Trigger.RESUME: "rollout.resumed",
    Trigger.PROMOTE: "rollout.promoted",
    Trigger.ABORT: "rollout.aborted",
    Trigger.ROLL_BACK: "rollout.rolled_back",
}


def create_rollout(
    *,
    actor: Principal,
    endpoint: Endpoint,
    candidate: ModelVersion,
    steps: Sequence[Step] | None = None,
    conditions: Conditions | None = None,
    reason: str,
) -> Rollout:
    """Plan a ramp of `candidate` and lease the endpoint for it; the next tick starts it.

    Steps and conditions default to those of the model's tier. Raises VersionNotApproved,
    NothingToReplace, Invalid (naming the field), LeaseHeld, and InvalidSettings for a candidate
    that the endpoint's policy cannot be followed with.
    """
    authorise(actor, Permission.ROUTE, team_key=endpoint.team.key)
    tier = endpoint.model.tier
    chosen = default_steps(tier) if steps is None else tuple(steps)
    limits = default_conditions(tier) if conditions is None else conditions
    check_steps(chosen)
    check_conditions(limits)
    if candidate.model_id != endpoint.model_id:
        raise Invalid(f"{candidate} is not a version of {endpoint.model}", field="candidate")
    check_approval(candidate, 100)
    return _create(actor, endpoint, candidate, chosen, limits, reason)


@transaction.atomic
def _create(
    actor: Principal,
    endpoint: Endpoint,
    candidate: ModelVersion,
    steps: Sequence[Step],
    conditions: Conditions,
    reason: str,
) -> Rollout:
    locked = Endpoint.objects.select_for_update(of=("self",)).get(pk=endpoint.pk)
    if locked.lease_holder:
        raise LeaseHeld(f"endpoint {locked} is held by {locked.lease_holder}")
    phase, incumbent = locked.phase, incumbent_of(locked)
    if phase is None or incumbent is None:
        raise NothingToReplace(f"endpoint {locked} serves nothing to compare with: deploy first")
    if incumbent == candidate:
        raise Conflict(f"{candidate} is the stable version already", field="candidate")
    # What the endpoint's policy cannot follow with this candidate is said now, not at a tick.
    weights = split(incumbent, candidate, steps[0].weight)
    preview(endpoint=locked, weights=weights, new_candidate=True, carry=True)
    rollout = Rollout(
        endpoint=locked,
        candidate=candidate,
        baseline=incumbent,
        baseline_phase=phase.number,
        steps=msgspec.to_builtins(list(steps)),
        conditions=msgspec.to_builtins(conditions),
        reason=reason,
        created_by=actor.key,
        state_entered_at=timezone.now(),
    )
    rollout.save(force_insert=True)
    acquire_lease(actor=actor, endpoint=locked, holder=rollout.key)
    _record(
        actor,
        rollout,
        "rollout.created",
        after={
            "endpoint": locked.name,
            "candidate": candidate.version_key,
            "baseline": incumbent.version_key,
            "baseline_phase": phase.number,
            "steps": rollout.steps,
        },
        reason=reason,
    )
    return rollout


def tick_rollout(*, rollout_id: UUID, now: datetime) -> Rollout:
    """Look at the evidence once and do what follows. Safe to repeat, and to run twice at once."""
    rollout = fresh(rollout_id)
    decision = decide(rollout.snapshot(), gather(rollout, now=now), now)
    if decision.trigger is None:
        write_verdicts(rollout, decision.verdicts, now=now, final=False)
        return rollout
    _apply(ROLLOUTS, rollout, decision, now=now)
    return fresh(rollout_id)


def pause(*, actor: Principal, rollout: Rollout, reason: str) -> Rollout:
    """Stay at the current step until somebody resumes; guardrails go on watching."""
    return _by_hand(actor, rollout, Trigger.PAUSE, reason)


def resume(*, actor: Principal, rollout: Rollout, reason: str) -> Rollout:
    """Go on after a pause, or when asked; the step's deadline begins anew."""
    return _by_hand(actor, rollout, Trigger.RESUME, reason)


def promote(*, actor: Principal, rollout: Rollout, reason: str, to_end: bool = False) -> Rollout:
    """Take the next step now, whatever the evidence; `to_end`: make the candidate stable."""
    return _by_hand(actor, rollout, promotion(rollout.snapshot(), to_end=to_end), reason)


def abort(*, actor: Principal, rollout: Rollout, reason: str) -> Rollout:
    """Give up: the endpoint goes back to what it was before the rollout."""
    return _by_hand(actor, rollout, Trigger.ABORT, reason, permission=Permission.ROLL_BACK)


def roll_back(*, actor: Principal, rollout: Rollout, reason: str) -> Rollout:
    """Take the candidate back now, in one generation; after completion, too.

    Raises RollbackRefused when the endpoint has moved on since the rollout was completed.
    """
    return _by_hand(actor, rollout, Trigger.ROLL_BACK, reason, permission=Permission.ROLL_BACK)


def roll_back_on_evidence(*, rollout_id: UUID, evidence: str, now: datetime) -> Rollout:
    """What a gateway or the registry found out ends the rollout, in whatever state it lives.

    Hearing it again, or after the rollout was taken back, does nothing.
    """
    decision = Decision(trigger=Trigger.FAIL, reason=evidence)
    while True:
        rollout = fresh(rollout_id)
        if after(State(rollout.state), Trigger.FAIL) is None:
            return rollout
        if _apply(ROLLOUTS, rollout, decision, now=now):
            return fresh(rollout_id)


def fresh(rollout_id: UUID) -> Rollout:
    """The rollout as it is now, with what a decision reads."""
    rows = Rollout.objects.select_related(
        "endpoint__team", "endpoint__model", "candidate__model", "baseline__model__team"
    )
    return rows.get(pk=rollout_id)


def _by_hand(
    actor: Principal,
    rollout: Rollout,
    trigger: Trigger,
    reason: str,
    *,
    permission: Permission = Permission.ROUTE,
) -> Rollout:
    """A person's transition; tries again when a tick came in between."""
    authorise(actor, permission, team_key=rollout.endpoint.team.key)
    if not reason.strip():
        raise Invalid("say why", field="reason")
    current = fresh(rollout.pk)
    decision = Decision(trigger=trigger, reason=reason)
    while not _apply(actor, current, decision, now=timezone.now()):
        current = fresh(rollout.pk)
    return fresh(rollout.pk)


@transaction.atomic
def _apply(actor: Principal, rollout: Rollout, decision: Decision, *, now: datetime) -> bool:
    """Take one transition, unless another process took one first; True when this one did.

    Raises TransitionRefused where the state does not allow it, and what routing refuses.
    """
    trigger, before = decision.trigger, State(rollout.state)
    then = after(before, trigger) if trigger else None
    if trigger is None or then is None:
        raise TransitionRefused(f"a rollout that is {before} cannot {trigger}")
    if not _swap(rollout, then, decision.reason, now):
        return False
    write_verdicts(rollout, decision.verdicts, now=now, final=True)
    follow(actor, rollout, trigger, reason=decision.reason, now=now)
    _record(
        actor,
        rollout,
        VERBS[trigger],
        before={"state": before.value},
        after={
            "state": then.value,
            "trigger": trigger.value,
            "step": rollout.step_index,
            "generation": rollout.generation,
            "verdicts": [verdict.sentence for verdict in decision.verdicts],
        },
        reason=decision.reason,
    )
    log.info(
        "rollout.changed",
        rollout=str(rollout.pk),
        trigger=trigger.value,
        state=then.value,
        reason=decision.reason,
    )
    return True


def _swap(rollout: Rollout, then: State, reason: str, now: datetime) -> bool:
    """Compare-and-swap on `(state, revision)`; `rollout` then holds the new values."""
    finished = then in (State.COMPLETED, State.ROLLED_BACK, State.ABORTED)
    values = {
        "state": then.value,
        "revision": rollout.revision + 1,
        "state_reason": reason,
        "state_entered_at": now,
        "ended_at": now if finished else None,
    }
    same = Rollout.objects.filter(pk=rollout.pk, state=rollout.state, revision=rollout.revision)
    if not same.update(**values):
        return False
    for name, value in values.items():
        setattr(rollout, name, value)
    return True


def _record(
    actor: Principal,
    rollout: Rollout,
    verb: str,
    *,
    before: object = None,
    after: object,
    reason: str,
) -> None:
    record(
        actor=actor,
        verb=verb,
        object_key=rollout.key,
        team_key=rollout.endpoint.team.key,
        before=before,
        after=after,
        reason=reason,
    )
