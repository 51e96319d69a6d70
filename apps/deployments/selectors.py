"""Reads over several models, for the API, the pages and the floors above."""

from uuid import UUID

from apps.deployments.errors import DeploymentNotFound, RolloutNotFound
from apps.deployments.models import Deployment, Rollout
from apps.routing.models import Endpoint


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


def step_requests(rollout: Rollout) -> int:
    """Requests that the candidate has had at the current step, as of the last look."""
    for row in rollout.latest:
        if row["metric"] == "errors":
            return int(row["figures"].get("requests") or 0)
    return 0
