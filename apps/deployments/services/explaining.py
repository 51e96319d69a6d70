"""Bringing explainers beside healthy versions; whatever fails here concerns explanations alone."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from apps.accounts.access import system
from apps.deployments.deployment import Sight, State
from apps.deployments.drivers import Driver, driver_of
from apps.deployments.errors import TargetAway, TargetRefuses
from apps.deployments.explaining import MOVING, NO_SAMPLE, Explaining, decide
from apps.deployments.models import Deployment
from apps.events.services import record
from apps.registry.models import ModelVersion
from apps.routing.services import register_backend
from dataplane.triton.explainer import explainer_entry

log = structlog.get_logger(__name__)

DEPLOYER = system("deployment")
BUSY = timedelta(seconds=60)


def initial(version: ModelVersion, now: datetime) -> dict[str, object]:
    """How the explainer of a new deployment stands."""
    if version.background_digest:
        state, error = Explaining.PENDING, ""
    else:
        state, error = Explaining.NONE, NO_SAMPLE
    return {
        "explainer_state": state.value,
        "explainer_error": error,
        "explainer_entered_at": now,
    }


def advance_explainer(*, deployment_id: UUID, now: datetime) -> Deployment:
    """Take the explainer of a healthy deployment as far as it goes now. Safe to repeat."""
    own = Deployment.objects.filter(pk=deployment_id)
    if not own.idle(now=now).update(busy_until_at=now + BUSY):
        return _fresh(deployment_id)
    try:
        return _advance(deployment_id, now)
    finally:
        own.update(busy_until_at=None)


def reconcile_explainers(*, now: datetime) -> int:
    """Look at explainers that are loaded; returns how many their targets lost."""
    loaded = Deployment.objects.explainable(Explaining.READY)
    rows = loaded.select_related("version__model__team", "target")
    return sum(_step(deployment, now) is not None for deployment in rows)


def _advance(deployment_id: UUID, now: datetime) -> Deployment:
    for _ in range(len(MOVING)):
        deployment = _fresh(deployment_id)
        if deployment.state != State.HEALTHY.value or _step(deployment, now) is None:
            return deployment
    return _fresh(deployment_id)


def _fresh(deployment_id: UUID) -> Deployment:
    rows = Deployment.objects.select_related("version__model__team", "target")
    return rows.get(pk=deployment_id)


def _step(deployment: Deployment, now: datetime) -> Explaining | None:
    """Look, and take the transition that follows; None where there is none."""
    state = Explaining(deployment.explainer_state)
    sight = _see(deployment, state)
    entered = deployment.explainer_entered_at or now
    then, reason = decide(state, entered, sight, now)
    if then is state:
        _note(deployment, reason)
        return None
    return then if _apply(deployment, state, then, reason, now) else None


def _see(deployment: Deployment, state: Explaining) -> Sight:
    driver = driver_of(deployment.target)
    try:
        if state is Explaining.PENDING:
            return _place(deployment, driver)
        return _look(deployment, driver, ask=state is Explaining.LOADING)
    except TargetAway as error:
        return Sight(error=error.detail)
    except TargetRefuses as error:
        return Sight(refused=error.detail)


def _place(deployment: Deployment, driver: Driver) -> Sight:
    entry = explainer_entry(deployment.entry)
    driver.place_explainer(version=deployment.version, entry=entry)
    return Sight(placed=True)


def _look(deployment: Deployment, driver: Driver, *, ask: bool) -> Sight:
    """What the target says of it; once it is loaded, a test explanation says whether it works."""
    entry = explainer_entry(deployment.entry)
    found = driver.look(entry=entry)
    if found.state != "ready" or not ask:
        return Sight(state=found.state, progress=found.progress, error=found.error)
    driver.explain(version=deployment.version, entry=entry)
    return Sight(state=found.state, progress=1.0, answered=True)


def _note(deployment: Deployment, error: str) -> None:
    """Keep what was seen for whoever watches; no transition, so no event."""
    if deployment.explainer_error != error:
        Deployment.objects.filter(pk=deployment.pk).update(explainer_error=error)


@transaction.atomic
def _apply(
    deployment: Deployment, before: Explaining, then: Explaining, reason: str, now: datetime
) -> bool:
    """Take one transition, unless another process did; True when this one did."""
    own = Deployment.objects.filter(
        pk=deployment.pk, state=State.HEALTHY.value, explainer_state=before.value
    )
    error = "" if then is Explaining.READY else reason
    if not own.update(explainer_state=then.value, explainer_error=error, explainer_entered_at=now):
        return False
    if then is not Explaining.LOADING:
        _tell_endpoints(deployment, ready=then is Explaining.READY)
    if then in (Explaining.READY, Explaining.FAILED):
        _tell(deployment, before, then, reason)
    return True


def _tell_endpoints(deployment: Deployment, *, ready: bool) -> None:
    register_backend(
        actor=DEPLOYER,
        version=deployment.version,
        entry=deployment.entry,
        addresses=driver_of(deployment.target).addresses,
        explainer=explainer_entry(deployment.entry) if ready else "",
    )


def _tell(deployment: Deployment, before: Explaining, then: Explaining, reason: str) -> None:
    record(
        actor=DEPLOYER,
        verb=f"deployment.explainer_{then.value}",
        object_key=deployment.key,
        team_key=deployment.version.model.team.key,
        before={"explainer": before.value},
        after={"explainer": then.value, "version": deployment.version.version_key},
        reason=reason,
    )
    log.info("explainer.changed", deployment=str(deployment.pk), state=then.value, reason=reason)
