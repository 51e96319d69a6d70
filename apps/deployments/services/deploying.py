"""Bringing versions onto targets, one idempotent step at a time."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from apps.accounts.access import Permission, Principal, authorise, system
from apps.deployments.deployment import MOVING, OPEN, Sight, State, Trigger, after, decide
from apps.deployments.drivers import Driver, driver_of
from apps.deployments.errors import (
    AlreadyDeploying,
    Invalid,
    TargetAway,
    TargetRefuses,
    TransitionRefused,
)
from apps.deployments.models import Deployment, Target
from apps.deployments.services.explaining import initial
from apps.deployments.services.traffic import (
    apply_traffic,
    check_approval,
    check_traffic,
    team_of_traffic,
)
from apps.events.errors import DomainError
from apps.events.services import record
from apps.registry.models import ModelVersion
from apps.registry.services import require_ready
from apps.routing.selectors import generations_needing
from apps.routing.services import register_backend, remove_backend
from dataplane.triton.explainer import explainer_entry

log = structlog.get_logger(__name__)

DEPLOYER = system("deployment")
DEFAULT_TARGET = "default"
MAX_REPLICAS = 64
BUSY = timedelta(seconds=60)


def deploy(
    *,
    actor: Principal,
    version: ModelVersion,
    replicas: int = 1,
    instance_type: str = "cpu",
    traffic_percentage: int = 0,
    target: Target | None = None,
    reason: str = "",
) -> Deployment:
    """Start bringing `version` onto `target` (the default one); a tick does the rest.

    Once it is healthy, `traffic_percentage` of the endpoint named like the model goes to it; the
    endpoint is made if there is none. Everything that can be refused is refused before anything
    is done: VersionNotReady, TargetRefuses, VersionNotApproved, AlreadyDeploying, Invalid,
    LeaseHeld.
    """
    authorise(actor, Permission.DEPLOY, team_key=version.model.team.key)
    _check_request(replicas, traffic_percentage, instance_type)
    require_ready(version)
    target = target or default_target()
    driver_of(target).require(version=version)
    check_approval(version, traffic_percentage)
    if traffic_percentage:
        authorise(actor, Permission.ROUTE, team_key=team_of_traffic(version))
        check_traffic(version, traffic_percentage)
    try:
        return _create(
            actor,
            Deployment(
                version=version,
                target=target,
                entry=version.entry_name,
                replicas=replicas,
                instance_type=instance_type,
                traffic_percentage=traffic_percentage,
                endpoint_name=version.model.endpoint_name,
                reason=reason,
                created_by=actor.key,
                state_entered_at=timezone.now(),
                **initial(version, timezone.now()),
            ),
        )
    except IntegrityError as error:
        raise AlreadyDeploying(f"{version} is on its way onto this target already") from error


def _check_request(replicas: int, traffic_percentage: int, instance_type: str) -> None:
    if not 1 <= replicas <= MAX_REPLICAS:
        raise Invalid(f"replicas lie between 1 and {MAX_REPLICAS}", field="replicas")
    if not 0 <= traffic_percentage <= 100:
        raise Invalid("a percentage lies between 0 and 100", field="traffic_percentage")
    if not instance_type or len(instance_type) > 60:
        raise Invalid("an instance type has 1 to 60 characters", field="instance_type")


@transaction.atomic
def _create(actor: Principal, deployment: Deployment) -> Deployment:
    deployment.save(force_insert=True)
    record(
        actor=actor,
        verb="deployment.requested",
        object_key=deployment.key,
        team_key=deployment.version.model.team.key,
        after={
            "version": deployment.version.version_key,
            "target": deployment.target.name,
            "replicas": deployment.replicas,
            "instance_type": deployment.instance_type,
            "traffic_percentage": deployment.traffic_percentage,
        },
        reason=deployment.reason,
    )
    return deployment


def default_target() -> Target:
    """The target that the environment names."""
    return Target.objects.get_or_create(name=DEFAULT_TARGET)[0]


def advance_deployment(*, deployment_id: UUID, now: datetime) -> Deployment:
    """Take the deployment as far as it goes now. Safe to repeat, and to run twice at once.

    Each pass looks at the target first and then takes one transition as compare-and-swap, so a
    process that dies anywhere leaves the rest to the next tick. Another process that is busy with
    it is left alone: a target that does not answer holds up one worker, not all of them.
    """
    own = Deployment.objects.filter(pk=deployment_id)
    if not own.idle(now=now).update(busy_until_at=now + BUSY):
        return _fresh(deployment_id)
    try:
        return _advance(deployment_id, now)
    finally:
        own.update(busy_until_at=None)


def _advance(deployment_id: UUID, now: datetime) -> Deployment:
    for _ in range(len(MOVING)):
        deployment = _fresh(deployment_id)
        state = State(deployment.state)
        sight = _see(deployment, driver_of(deployment.target))
        decision = decide(state, deployment.state_entered_at, sight, now)
        if decision.trigger is None:
            _note(deployment, sight)
            return deployment
        _apply(deployment, decision.trigger, reason=decision.reason, now=now)
    return _fresh(deployment_id)


def _fresh(deployment_id: UUID) -> Deployment:
    rows = Deployment.objects.select_related("version__model__team", "target")
    return rows.get(pk=deployment_id)


def _see(deployment: Deployment, driver: Driver) -> Sight:
    """Do what the state asks for, as far as it can be done from outside the database."""
    try:
        return _SIGHTS[State(deployment.state)](deployment, driver)
    except TargetAway as error:
        return Sight(error=error.detail)
    except TargetRefuses as error:
        return Sight(refused=error.detail)


def _place(deployment: Deployment, driver: Driver) -> Sight:
    driver.place(version=deployment.version, entry=deployment.entry, replicas=deployment.replicas)
    return Sight(placed=True)


def _look(deployment: Deployment, driver: Driver) -> Sight:
    found = driver.look(entry=deployment.entry)
    return Sight(state=found.state, progress=found.progress, error=found.error)


def _ask(deployment: Deployment, driver: Driver) -> Sight:
    found = driver.look(entry=deployment.entry)
    if found.state != "ready":
        return Sight(state=found.state, progress=found.progress, error=found.error)
    driver.ask(version=deployment.version, entry=deployment.entry)
    return Sight(state=found.state, progress=1.0, answered=True)


def _unload(deployment: Deployment, driver: Driver) -> Sight:
    driver.remove(entry=deployment.entry)
    driver.remove(entry=explainer_entry(deployment.entry))
    return Sight(gone=True)


def _nothing(deployment: Deployment, driver: Driver) -> Sight:
    return Sight()


_SIGHTS = {
    State.PENDING: _place,
    State.LOADING: _look,
    State.TESTING: _ask,
    State.REMOVING: _unload,
    State.HEALTHY: _nothing,
    State.FAILED: _nothing,
    State.SUPERSEDED: _nothing,
    State.REMOVED: _nothing,
}


def _note(deployment: Deployment, sight: Sight) -> None:
    """Keep what was seen for whoever watches; no transition, so no event."""
    if deployment.state in OPEN and (
        (deployment.progress, deployment.error) != (sight.progress, sight.error)
    ):
        rows = Deployment.objects.filter(pk=deployment.pk, revision=deployment.revision)
        rows.update(progress=sight.progress, error=sight.error)


@transaction.atomic
def _apply(deployment: Deployment, trigger: Trigger, *, reason: str, now: datetime) -> bool:
    """Take one transition, unless another process did; True when this one did."""
    before = State(deployment.state)
    then = after(before, trigger)
    if then is None:
        raise TransitionRefused(f"a deployment that is {before} cannot {trigger}")
    if then is State.HEALTHY:
        _supersede(deployment, now)
    values: dict[str, object] = {"error": reason if then is not State.HEALTHY else ""}
    if then is State.HEALTHY:
        values |= {"healthy_at": now, "progress": 1.0}
    won = Deployment.objects.filter(
        pk=deployment.pk, state=before.value, revision=deployment.revision
    ).update(state=then.value, revision=deployment.revision + 1, state_entered_at=now, **values)
    if not won:
        transaction.set_rollback(True)
        return False
    if then is State.HEALTHY:
        _serve(deployment)
    _tell(deployment, before, then, reason)
    return True


def _tell(deployment: Deployment, before: State, then: State, reason: str) -> None:
    record(
        actor=DEPLOYER,
        verb=f"deployment.{then.value}",
        object_key=deployment.key,
        team_key=deployment.version.model.team.key,
        before={"state": before.value},
        after={"state": then.value, "version": deployment.version.version_key},
        reason=reason,
    )
    log.info("deployment.changed", deployment=str(deployment.pk), state=then.value, reason=reason)


def _supersede(deployment: Deployment, now: datetime) -> None:
    """The version's earlier deployment on this target gives way."""
    earlier = Deployment.objects.select_for_update().filter(
        version=deployment.version, target=deployment.target, state=State.HEALTHY.value
    )
    earlier.update(state=State.SUPERSEDED.value, state_entered_at=now)


def _serve(deployment: Deployment) -> None:
    """Say where the version answers, and give it the traffic that was asked for."""
    addresses = driver_of(deployment.target).addresses
    register_backend(
        actor=DEPLOYER,
        version=deployment.version,
        entry=deployment.entry,
        addresses=addresses,
    )
    if not deployment.traffic_percentage or deployment.healthy_at:
        return  # asked for once: an entry that was lost and placed again moves nobody
    try:
        with transaction.atomic():
            apply_traffic(deployment, actor=DEPLOYER)
    except DomainError as error:
        _refuse_traffic(deployment, error)


def _refuse_traffic(deployment: Deployment, error: DomainError) -> None:
    """Healthy all the same: what changed is that the endpoint no longer takes it."""
    Deployment.objects.filter(pk=deployment.pk).update(error=error.detail)
    record(
        actor=DEPLOYER,
        verb="deployment.traffic_refused",
        object_key=deployment.key,
        team_key=deployment.version.model.team.key,
        after={"endpoint": deployment.endpoint_name, "code": error.code},
        reason=error.detail,
    )


@transaction.atomic
def remove_deployment(*, actor: Principal, deployment: Deployment, reason: str) -> Deployment:
    """Take the version off its target, unless an endpoint or a way back still needs it.

    Raises BackendInUse, TransitionRefused.
    """
    authorise(actor, Permission.DEPLOY, team_key=deployment.version.model.team.key)
    locked = Deployment.objects.select_for_update(of=("self",)).get(pk=deployment.pk)
    before = State(locked.state)
    then = after(before, Trigger.REMOVE)
    if then is None:
        raise TransitionRefused(f"a deployment that is {before} cannot be removed")
    if generations_needing(locked.version):
        raise TransitionRefused(f"{locked.version} is still needed by the routing table")
    if before is State.HEALTHY:
        remove_backend(actor=actor, version=locked.version)
    locked.state, locked.state_entered_at = then.value, timezone.now()
    locked.revision += 1
    locked.save(update_fields=["state", "state_entered_at", "revision"])
    record(
        actor=actor,
        verb="deployment.removing",
        object_key=locked.key,
        team_key=locked.version.model.team.key,
        before={"state": before.value},
        after={"state": then.value},
        reason=reason,
    )
    return locked


def reconcile_deployments(*, now: datetime) -> int:
    """Compare healthy deployments with their targets; returns how many were set right.

    A target that lost an entry gets it again, and a server that moved is told to the endpoints.
    """
    again = Deployment.objects.moving().filter(
        version=OuterRef("version"), target=OuterRef("target")
    )
    healthy = (
        Deployment.objects.filter(~Exists(again), state=State.HEALTHY.value)
        .select_related("version__model__team", "target")
        .order_by("id")
    )
    return sum(_reconcile(deployment, now) for deployment in healthy)


def _reconcile(deployment: Deployment, now: datetime) -> bool:
    driver = driver_of(deployment.target)
    sight = _see_healthy(deployment, driver)
    if sight.state == "absent":
        return _apply(deployment, Trigger.LOST, reason="the target lost it", now=now)
    register_backend(
        actor=DEPLOYER,
        version=deployment.version,
        entry=deployment.entry,
        addresses=driver.addresses,
    )
    return False


def _see_healthy(deployment: Deployment, driver: Driver) -> Sight:
    try:
        return _look(deployment, driver)
    except (TargetAway, TargetRefuses) as error:
        return Sight(error=error.detail)
