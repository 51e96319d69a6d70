"""Reads over several models, for the API, the pages and the floors above."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from apps.deployments.errors import DeploymentNotFound, RolloutNotFound
from apps.deployments.models import Deployment, Rollout, Verdict
from apps.deployments.rollout import FINISHED, State, Step, hold_ends_at
from apps.monitoring import selectors as monitoring
from apps.monitoring.selectors import VariantSeries
from apps.registry.models import ModelVersion
from apps.routing.models import Endpoint

SERIES_POINTS = 240
VERDICTS = 100


@dataclass(frozen=True, kw_only=True)
class RolloutPage:
    """What one looks at while a rollout runs.

    `left_s` until the current step's hold is over, None when no step is being held; `metrics` are
    the verdicts of the last look; `log` those that said something new, newest first.
    """

    rollout: Rollout
    steps: Sequence[Step]
    current: int
    left_s: float | None
    metrics: Sequence[Mapping[str, object]]
    log: Sequence[Verdict]
    series: Mapping[str, VariantSeries]


def get_rollout(rollout_id: UUID) -> Rollout:
    """The rollout with its endpoint, candidate and baseline. Raises RolloutNotFound."""
    rows = Rollout.objects.select_related(
        "endpoint__team", "endpoint__model", "candidate__model__team", "baseline__model__team"
    )
    found = rows.filter(pk=rollout_id).first()
    if found is None:
        raise RolloutNotFound(f"there is no rollout {rollout_id}", field="rollout")
    return found


def get_deployment(deployment_id: UUID) -> Deployment:
    """The deployment with its version and target. Raises DeploymentNotFound."""
    rows = Deployment.objects.select_related("version__model__team", "target")
    found = rows.filter(pk=deployment_id).first()
    if found is None:
        raise DeploymentNotFound(f"there is no deployment {deployment_id}", field="deployment")
    return found


def active_rollout(endpoint: Endpoint) -> Rollout | None:
    """The endpoint's rollout that is not over, if there is one."""
    rows = Rollout.objects.unfinished().select_related("candidate__model", "baseline__model")
    return rows.filter(endpoint=endpoint).first()


def newest_deployment(version: ModelVersion) -> Deployment | None:
    """The version's last deployment, wherever it went."""
    return Deployment.objects.of_version(version).select_related("target").first()


def rollout_page(rollout: Rollout, *, now: datetime | None = None) -> RolloutPage:
    """Everything that the rollout's page shows."""
    moment = now or timezone.now()
    return RolloutPage(
        rollout=rollout,
        steps=rollout.typed_steps(),
        current=rollout.step_index,
        left_s=hold_left_s(rollout, now=moment),
        metrics=rollout.latest,
        log=list(rollout.verdicts.all()[:VERDICTS]),
        series=rollout_series(rollout, now=moment),
    )


def hold_left_s(rollout: Rollout, *, now: datetime) -> float | None:
    """Seconds until the current step's hold is over, or None when no step is being held."""
    if rollout.state != State.PROGRESSING:
        return None
    return max((hold_ends_at(rollout.snapshot()) - now).total_seconds(), 0.0)


def step_requests(rollout: Rollout) -> int:
    """Requests that the candidate has had at the current step, as of the last look."""
    for row in rollout.latest:
        if row["metric"] == "errors":
            return int(row["figures"].get("requests") or 0)
    return 0


def rollout_series(rollout: Rollout, *, now: datetime) -> Mapping[str, VariantSeries]:
    """Traffic by variant since just before the start, in steps of whole seconds."""
    since = (rollout.started_at or rollout.created_at) - timedelta(seconds=10)
    until = rollout.ended_at if rollout.state in FINISHED and rollout.ended_at else now
    step_s = max(1, round((until - since).total_seconds() / SERIES_POINTS))
    return monitoring.series(rollout.endpoint.name, since, until, step_s)
