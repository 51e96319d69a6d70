"""REST resources of experiments: each parses, makes one service call, and renders."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

import django_filters as filters  # type: ignore[import-untyped]  # has no types
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import ApiGenericView, ApiView, validated
from apps.events.errors import Invalid, NotFound
from apps.experiments import services
from apps.experiments.api import examples
from apps.experiments.api import serializers as shapes
from apps.experiments.lifecycle import Decision, State
from apps.experiments.models import Experiment
from apps.experiments.selectors import get_experiment
from apps.experiments.services import ArmPlan
from apps.registry.selectors import get_version
from apps.routing.models import Endpoint
from apps.routing.selectors import get_endpoint

Permissions = Mapping[str, Permission]


class ExperimentFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    """By state, endpoint or part of the name."""

    state = filters.ChoiceFilter(choices=[(state.value, state.value) for state in State])
    endpoint = filters.CharFilter(field_name="endpoint__name")
    name = filters.CharFilter(lookup_expr="icontains")

    class Meta:
        model = Experiment
        fields: tuple[str, ...] = ()


class Experiments(ListAPIView[Any], ApiGenericView):
    """All experiments; plan one."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.EXPERIMENT}
    queryset = Experiment.objects.select_related("endpoint")
    serializer_class = shapes.ExperimentSerializer
    filterset_class = ExperimentFilter

    @extend_schema(
        request=shapes.NewExperimentSerializer,
        responses={201: shapes.ExperimentDetailSerializer},
        examples=[examples.NEW],
    )
    def post(self, request: Request) -> Response:
        """Write a draft; nobody's traffic changes before it is started."""
        given = validated(shapes.NewExperimentSerializer(data=request.data))
        endpoint = get_endpoint(given.pop("endpoint"))
        experiment = services.create_experiment(
            actor=self.principal,
            endpoint=endpoint,
            arms=_arms(endpoint, given.pop("arms")),
            planned_duration=given.pop("planned_days"),
            **given,
        )
        return _shown(experiment.pk, status=201)


class OneExperiment(ApiView):
    """One experiment."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.ExperimentDetailSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """The plan, where it stands, and who has seen which arm until now."""
        return _shown(experiment_id)


class Change(ApiView):
    """What people do with an experiment; each names its reason."""

    permissions: ClassVar[Permissions] = {"POST": Permission.EXPERIMENT}


class Start(Change):
    """Give users the arms."""

    @extend_schema(
        request=shapes.ReasonSerializer,
        responses=shapes.ExperimentDetailSerializer,
        examples=[examples.REASON],
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Lease the endpoint and give its users the arms."""
        given = validated(shapes.ReasonSerializer(data=request.data))
        services.start_experiment(
            actor=self.principal,
            experiment=get_experiment(experiment_id),
            now=timezone.now(),
            **given,
        )
        return _shown(experiment_id)


class Stop(Change):
    """Give users back what they had."""

    @extend_schema(
        request=shapes.ReasonSerializer,
        responses=shapes.ExperimentDetailSerializer,
        examples=[examples.REASON],
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Bring back the phase before the start and let go of the endpoint."""
        given = validated(shapes.ReasonSerializer(data=request.data))
        services.stop_experiment(
            actor=self.principal,
            experiment=get_experiment(experiment_id),
            now=timezone.now(),
            **given,
        )
        return _shown(experiment_id)


class Decide(Change):
    """Keep what people concluded."""

    @extend_schema(
        request=shapes.DecisionSerializer,
        responses=shapes.ExperimentDetailSerializer,
        examples=[examples.DECISION],
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Keep what people concluded from a stopped experiment, and why."""
        given = validated(shapes.DecisionSerializer(data=request.data))
        services.decide_experiment(
            actor=self.principal,
            experiment=get_experiment(experiment_id),
            decision=Decision(given["decision"]),
            reason=given["reason"],
            now=timezone.now(),
        )
        return _shown(experiment_id)


class Archive(Change):
    """Put it away."""

    @extend_schema(
        request=shapes.ReasonSerializer,
        responses=shapes.ExperimentDetailSerializer,
        examples=[examples.REASON],
    )
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Put away a draft, or an experiment that is over."""
        given = validated(shapes.ReasonSerializer(data=request.data))
        services.archive_experiment(
            actor=self.principal,
            experiment=get_experiment(experiment_id),
            now=timezone.now(),
            **given,
        )
        return _shown(experiment_id)


def _shown(experiment_id: UUID, *, status: int = 200) -> Response:
    experiment = get_experiment(experiment_id)
    return Response(shapes.ExperimentDetailSerializer(experiment).data, status=status)


def _arms(endpoint: Endpoint, given: Sequence[Mapping[str, Any]]) -> list[ArmPlan]:
    return [_arm(endpoint, item, number) for number, item in enumerate(given)]


def _arm(endpoint: Endpoint, item: Mapping[str, Any], number: int) -> ArmPlan:
    try:
        version = get_version(endpoint.model.name, item["version"])
    except NotFound as error:
        raise Invalid(error.detail, field=f"arms[{number}].version") from error
    return ArmPlan(
        key=item["variant"], version=version, weight=item["weight"], is_control=item["control"]
    )
