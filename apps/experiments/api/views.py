"""REST resources of experiments: each parses, makes one service call, and renders."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import Action, ApiView, ListView, Permissions
from apps.accounts.api.filters import CharFilter, Filters, WordFilter
from apps.events.errors import Invalid, NotFound
from apps.experiments import services
from apps.experiments.api import examples
from apps.experiments.api import serializers as shapes
from apps.experiments.lifecycle import State
from apps.experiments.models import Experiment
from apps.experiments.selectors import get_experiment
from apps.experiments.services import ArmPlan
from apps.registry.selectors import get_version
from apps.routing.models import Endpoint
from apps.routing.selectors import get_endpoint


class ExperimentFilter(Filters):
    """By state, endpoint or part of the name."""

    state = WordFilter(State)
    endpoint = CharFilter(field_name="endpoint__name")
    name = CharFilter(lookup_expr="icontains")

    class Meta:
        model = Experiment
        fields: tuple[str, ...] = ()


class Experiments(Action, ListView):
    """All experiments; plan one."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.EXPERIMENT}
    queryset = Experiment.objects.select_related("endpoint")
    serializer_class = shapes.ExperimentSerializer
    filterset_class = ExperimentFilter
    takes = shapes.NewExperimentSerializer
    shows = shapes.ExperimentDetailSerializer
    status = 201
    examples = (examples.NEW,)

    def act(self, given: dict[str, Any], **_: Any) -> Experiment:
        """Write a draft; nobody's traffic changes before it is started."""
        endpoint = get_endpoint(given.pop("endpoint"))
        made = services.create_experiment(
            actor=self.principal,
            endpoint=endpoint,
            arms=_arms(endpoint, given.pop("arms")),
            planned_duration=given.pop("planned_days"),
            **given,
        )
        return get_experiment(made.pk)


class OneExperiment(ApiView):
    """One experiment."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.ExperimentDetailSerializer)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """The plan, where it stands, and who has seen which arm until now."""
        return Response(shapes.ExperimentDetailSerializer(get_experiment(experiment_id)).data)


class Change(Action):
    """What people do with an experiment; each names its reason."""

    permissions: ClassVar[Permissions] = {"POST": Permission.EXPERIMENT}
    shows = shapes.ExperimentDetailSerializer
    examples = (examples.REASON,)
    service: ClassVar[Callable[..., Experiment]]

    def act(self, given: dict[str, Any], **path: Any) -> Experiment:
        found = get_experiment(path["experiment_id"])
        type(self).service(actor=self.principal, experiment=found, now=timezone.now(), **given)
        return get_experiment(found.pk)


class Start(Change):
    """Lease the endpoint and give its users the arms."""

    service = staticmethod(services.start_experiment)


class Stop(Change):
    """Bring back the phase before the start and let go of the endpoint."""

    service = staticmethod(services.stop_experiment)


class Decide(Change):
    """Keep what people concluded from a stopped experiment, and why."""

    takes = shapes.DecisionSerializer
    examples = (examples.DECISION,)
    service = staticmethod(services.decide_experiment)


class Archive(Change):
    """Put away a draft, or an experiment that is over."""

    service = staticmethod(services.archive_experiment)


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
