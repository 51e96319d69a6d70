"""REST resources of deployments and rollouts: each parses, makes one service call, renders."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import Action, ApiView, ListView, Permissions, validated
from apps.accounts.api.filters import BooleanFilter, CharFilter, Filters, NumberFilter, WordFilter
from apps.deployments import deployment, services
from apps.deployments.api import examples
from apps.deployments.api import serializers as shapes
from apps.deployments.models import Deployment, Rollout, Target, Verdict
from apps.deployments.rollout import Step, default_conditions
from apps.deployments.selectors import get_deployment, get_rollout
from apps.registry.selectors import get_model, get_version
from apps.routing.selectors import get_endpoint

POLL_S = 0.2


class Deploy(ApiView):
    """Bring a version of a model onto the target."""

    permissions: ClassVar[Permissions] = {"POST": Permission.DEPLOY}
    polls = ("api-deployment", "deployment_id")

    @extend_schema(
        request=shapes.DeployRequestSerializer,
        responses={
            200: shapes.DeployAnswerSerializer,
            202: shapes.DeployAnswerSerializer,
        },
        examples=[examples.DEPLOY, examples.DEPLOYED],
    )
    def post(self, request: Request, model: str) -> Response:
        """Deploy a version; 200 when it was healthy within `wait_s`, else 202."""
        given = validated(shapes.DeployRequestSerializer(data=request.data))
        wait_s = given.pop("wait_s")
        version = get_version(get_model(model).name, given.pop("version"))
        started = services.deploy(actor=self.principal, version=version, **given)
        seen = _wait(started, wait_s)
        answer = {
            "deployment_id": seen.pk,
            "status": seen.state,
            "endpoint": seen.endpoint_name,
        }
        return Response(answer, status=200 if seen.state == deployment.State.HEALTHY else 202)


def _wait(started: Deployment, wait_s: float) -> Deployment:
    """The deployment at its end, or as it is when the time is up."""
    deadline = time.monotonic() + wait_s
    seen = started
    while seen.state not in deployment.FINISHED and time.monotonic() < deadline:
        time.sleep(POLL_S)
        seen = get_deployment(started.pk)
    return seen


class DeploymentFilter(Filters):
    """By model, version number, state and target."""

    model = CharFilter(field_name="version__model__name")
    version = NumberFilter(field_name="version__number")
    state = WordFilter(deployment.State)
    target = CharFilter(field_name="target__name")

    class Meta:
        model = Deployment
        fields: tuple[str, ...] = ()


class Deployments(ListView):
    """All deployments, newest first."""

    serializer_class = shapes.DeploymentSerializer
    filterset_class = DeploymentFilter
    queryset = Deployment.objects.select_related("version__model", "target")


class OneDeployment(ApiView):
    """One deployment."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.DeploymentSerializer)
    def get(self, request: Request, deployment_id: UUID) -> Response:
        """How far a deployment is."""
        return Response(shapes.DeploymentSerializer(get_deployment(deployment_id)).data)


class RemoveDeployment(Action):
    """Unload the version, unless the routing table still needs it."""

    permissions: ClassVar[Permissions] = {"POST": Permission.DEPLOY}
    shows = shapes.DeploymentSerializer
    polls = ("api-deployment", "id")
    status = 202
    examples = (examples.REASON,)

    def act(self, given: dict[str, Any], **path: Any) -> Deployment:
        found = get_deployment(path["deployment_id"])
        services.remove_deployment(actor=self.principal, deployment=found, **given)
        return get_deployment(found.pk)


class Targets(ListView):
    """Places that versions are deployed to."""

    serializer_class = shapes.TargetSerializer
    queryset = Target.objects.all()


class RolloutFilter(Filters):
    """By endpoint, model, candidate's number and state; `active` tells those not yet over."""

    endpoint = CharFilter(field_name="endpoint__name")
    model = CharFilter(field_name="endpoint__model__name")
    candidate = NumberFilter(field_name="candidate__number")
    state = CharFilter(field_name="state")
    active = BooleanFilter(field_name="ended_at", lookup_expr="isnull")

    class Meta:
        model = Rollout
        fields: tuple[str, ...] = ()


ROLLOUTS = Rollout.objects.select_related("endpoint__model", "candidate__model", "baseline__model")


class Rollouts(ListView):
    """All rollouts, newest first."""

    serializer_class = shapes.RolloutSerializer
    filterset_class = RolloutFilter
    queryset = ROLLOUTS.all()


class EndpointRollouts(Action, ListView):
    """An endpoint's rollouts; start one."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.ROUTE}
    serializer_class = shows = shapes.RolloutSerializer
    queryset = ROLLOUTS.all()
    takes = shapes.NewRolloutSerializer
    status = 201
    examples = (examples.ROLLOUT,)

    def get_queryset(self) -> QuerySet[Rollout]:
        """Rollouts of the endpoint in the path."""
        name = self.kwargs.get("name", "")
        if not self.is_described:
            get_endpoint(name)
        return ROLLOUTS.filter(endpoint__name=name)

    def act(self, given: dict[str, Any], **path: Any) -> Rollout:
        """Ramp a candidate up; the endpoint is held until the ramp is over."""
        endpoint = get_endpoint(path["name"])
        steps = given.get("steps")
        limits = default_conditions(endpoint.model.tier)
        made = services.create_rollout(
            actor=self.principal,
            endpoint=endpoint,
            candidate=get_version(endpoint.model.name, given["candidate"]),
            steps=None if steps is None else [Step(**step) for step in steps],
            conditions=replace(limits, **given["conditions"]),
            reason=given["reason"],
        )
        return get_rollout(made.pk)


class OneRollout(ApiView):
    """One rollout."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.RolloutSerializer)
    def get(self, request: Request, rollout_id: UUID) -> Response:
        """How far a rollout is, and what its last look found."""
        return Response(shapes.RolloutSerializer(get_rollout(rollout_id)).data)


class RolloutAction(Action):
    """What a person may do with a rollout, each with a reason."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ROUTE}
    shows = shapes.RolloutSerializer
    examples = (examples.REASON,)
    service: ClassVar[Callable[..., Rollout]]

    def act(self, given: dict[str, Any], **path: Any) -> Rollout:
        found = get_rollout(path["rollout_id"])
        type(self).service(actor=self.principal, rollout=found, **given)
        return get_rollout(found.pk)


class Pause(RolloutAction):
    """Pause; guardrails go on watching."""

    service = staticmethod(services.pause)


class Resume(RolloutAction):
    """Resume after a pause, or answer a rollout that waits for a person."""

    service = staticmethod(services.resume)


class Promote(RolloutAction):
    """Take the next step now, or all of them."""

    service = staticmethod(services.promote)
    takes = shapes.PromoteSerializer
    examples = (examples.PROMOTE,)


class Abort(RolloutAction):
    """Give the rollout up; everybody gets back what they had before it."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ROLL_BACK}
    service = staticmethod(services.abort)


class Rollback(RolloutAction):
    """Roll back now, in one generation; also after the rollout was completed."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ROLL_BACK}
    service = staticmethod(services.roll_back)


class Verdicts(ListView):
    """A rollout's verdict log, newest first."""

    serializer_class = shapes.VerdictSerializer
    queryset = Verdict.objects.all()

    def get_queryset(self) -> QuerySet[Verdict]:
        """Verdicts of the rollout in the path."""
        if self.is_described:
            return Verdict.objects.none()
        return get_rollout(self.kwargs["rollout_id"]).verdicts.all()
