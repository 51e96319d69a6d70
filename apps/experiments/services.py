"""Every write of this app."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from apps.accounts.access import Permission, Principal, authorise, system
from apps.events.errors import Invalid
from apps.events.services import record
from apps.experiments.errors import InvalidPlan, NothingToCompare, TransitionRefused
from apps.experiments.lifecycle import (
    Decision,
    PlannedArm,
    State,
    Trigger,
    after,
    fault_of,
)
from apps.experiments.models import Arm, Experiment
from apps.registry.models import ModelVersion
from apps.routing import services as routing
from apps.routing.models import Endpoint
from apps.routing.services import VariantWeight


@dataclass(frozen=True, kw_only=True)
class ArmPlan:
    """An arm to be: a version, its share in buckets of 10,000, and whether it is the control."""

    key: str
    version: ModelVersion
    weight: int
    is_control: bool = False


@transaction.atomic
def create_experiment(
    *,
    actor: Principal,
    endpoint: Endpoint,
    name: str,
    hypothesis: str,
    arms: Sequence[ArmPlan],
    metrics: Sequence[Mapping[str, str]] = (),
    planned_duration: timedelta = timedelta(days=7),
    alpha: float = 0.05,
    power: float = 0.8,
) -> Experiment:
    """Write a draft. Raises InvalidPlan naming the field; nobody's traffic changes."""
    authorise(actor, Permission.EXPERIMENT, team_key=endpoint.team.key)
    _check(endpoint, arms)
    experiment = Experiment.objects.create(
        endpoint=endpoint,
        name=name,
        hypothesis=hypothesis,
        metrics=[dict(metric) for metric in metrics],
        planned_duration=planned_duration,
        alpha=alpha,
        power=power,
        created_by=actor.key,
    )
    Arm.objects.bulk_create(
        Arm(
            experiment=experiment,
            key=arm.key,
            version=arm.version,
            weight=arm.weight,
            is_control=arm.is_control,
        )
        for arm in arms
    )
    _tell(actor, experiment, "created", after={"name": name, "arms": _arms_told(arms)})
    return experiment


@transaction.atomic
def start_experiment(
    *, actor: Principal, experiment: Experiment, reason: str, now: datetime
) -> Experiment:
    """Lease the endpoint and give its users the arms.

    Refuses what routing refuses: LeaseHeld, VersionNotApproved, NoBackend.
    """
    _authorise(actor, experiment)
    endpoint = routing.acquire_lease(
        actor=actor, endpoint=experiment.endpoint, holder=experiment.key
    )
    phase = endpoint.phase
    if phase is None:
        raise NothingToCompare(f"endpoint {endpoint.name} serves nothing yet", field="endpoint")
    _move(experiment, Trigger.START, started_at=now, baseline_phase=phase.number)
    routing.reallocate(
        actor=actor,
        endpoint=endpoint,
        holder=experiment.key,
        expected_revision=endpoint.revision,
        weights=[_weight(arm) for arm in experiment.arms.select_related("version__model")],
        reason=reason,
        new_candidate=True,
        experiment_key=experiment.key,
        carry=True,
    )
    _tell(actor, experiment, "started", reason=reason, after={"baseline_phase": phase.number})
    return experiment


@transaction.atomic
def stop_experiment(
    *, actor: Principal, experiment: Experiment, reason: str, now: datetime
) -> Experiment:
    """Give every user back what they had before the start, and let go of the endpoint.

    An experiment that has lost its lease (it was handed on) only stops.
    """
    _authorise(actor, experiment)
    _move(experiment, Trigger.STOP, stopped_at=now)
    _return_endpoint(actor, experiment, reason=reason)
    _tell(actor, experiment, "stopped", reason=reason)
    return experiment


@transaction.atomic
def decide_experiment(
    *, actor: Principal, experiment: Experiment, decision: Decision, reason: str, now: datetime
) -> Experiment:
    """Keep what people concluded from a stopped experiment, and why. No traffic changes."""
    _authorise(actor, experiment)
    if not reason.strip():
        raise Invalid("say why", field="reason")
    _move(
        experiment,
        Trigger.DECIDE,
        decision=decision.value,
        decision_reason=reason,
        decided_at=now,
    )
    _tell(actor, experiment, "decided", reason=reason, after={"decision": decision.value})
    return experiment


@transaction.atomic
def archive_experiment(
    *, actor: Principal, experiment: Experiment, reason: str, now: datetime
) -> Experiment:
    """Put away a draft, or an experiment that is over."""
    _authorise(actor, experiment)
    _move(experiment, Trigger.ARCHIVE, archived_at=now)
    _tell(actor, experiment, "archived", reason=reason)
    return experiment


def _authorise(actor: Principal, experiment: Experiment) -> None:
    authorise(actor, Permission.EXPERIMENT, team_key=experiment.endpoint.team.key)


def _check(endpoint: Endpoint, arms: Sequence[ArmPlan]) -> None:
    planned = [
        PlannedArm(key=arm.key, weight=arm.weight, is_control=arm.is_control) for arm in arms
    ]
    fault = fault_of(planned)
    if fault is not None:
        raise InvalidPlan(fault.text, field=fault.path)
    for number, arm in enumerate(arms):
        if arm.version.model_id != endpoint.model_id:
            raise InvalidPlan(
                f"{arm.version.version_key} is not a version of {endpoint.model.name}",
                field=f"arms[{number}].version",
            )


def _move(experiment: Experiment, trigger: Trigger, **fields: Any) -> None:
    """Compare and swap on (state, revision). Raises TransitionRefused."""
    state = after(State(experiment.state), trigger)
    if state is None:
        raise TransitionRefused(f"cannot {trigger} an experiment that is {experiment.state}")
    unchanged = Experiment.objects.filter(
        pk=experiment.pk, state=experiment.state, revision=experiment.revision
    )
    if not unchanged.update(state=state.value, revision=F("revision") + 1, **fields):
        raise TransitionRefused("the experiment changed meanwhile: look again")
    experiment.refresh_from_db()


def _weight(arm: Arm) -> VariantWeight:
    return VariantWeight(
        key=arm.key,
        role="stable" if arm.is_control else "arm",
        version=arm.version,
        weight=arm.weight,
    )


def _return_endpoint(actor: Principal, experiment: Experiment, *, reason: str) -> None:
    endpoint = Endpoint.objects.select_for_update(of=("self",)).get(pk=experiment.endpoint_id)
    if endpoint.lease_holder != experiment.key or experiment.baseline_phase is None:
        return
    # An analyst may stop an experiment without holding the right to roll back what is not one.
    acting = replace(system("experiment"), responsible_key=actor.human_key)
    routing.restore_phase(
        actor=acting,
        endpoint=endpoint,
        holder=experiment.key,
        expected_revision=endpoint.revision,
        phase_number=experiment.baseline_phase,
        reason=reason,
    )
    routing.release_lease(actor=acting, endpoint=endpoint, holder=experiment.key)


def _tell(
    actor: Principal, experiment: Experiment, what: str, *, reason: str = "", after: object = None
) -> None:
    record(
        actor=actor,
        verb=f"experiment.{what}",
        object_key=experiment.key,
        team_key=experiment.endpoint.team.key,
        after={"endpoint": experiment.endpoint.name, **(after if isinstance(after, dict) else {})},
        reason=reason,
    )


def _arms_told(arms: Sequence[ArmPlan]) -> list[dict[str, object]]:
    return [
        {"arm": arm.key, "version": arm.version.version_key, "weight": arm.weight} for arm in arms
    ]
