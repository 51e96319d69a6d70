"""Every write of this app."""

from apps.deployments.services.deploying import (
    advance_deployment,
    deploy,
    reconcile_deployments,
    remove_deployment,
)
from apps.deployments.services.explaining import advance_explainer, reconcile_explainers
from apps.deployments.services.ramping import (
    abort,
    create_rollout,
    pause,
    promote,
    resume,
    roll_back,
    roll_back_on_evidence,
    tick_rollout,
)

__all__ = [
    "abort",
    "advance_deployment",
    "advance_explainer",
    "create_rollout",
    "deploy",
    "pause",
    "promote",
    "reconcile_deployments",
    "reconcile_explainers",
    "remove_deployment",
    "resume",
    "roll_back",
    "roll_back_on_evidence",
    "tick_rollout",
]
