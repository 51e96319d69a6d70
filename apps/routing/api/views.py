"""REST resources of routing: each parses, makes one service call, and renders."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import Action, ApiView, ListView, Permissions, validated
from apps.accounts.api.filters import BooleanFilter, CharFilter, Filters
from apps.events.errors import Invalid
from apps.registry.errors import NotFound
from apps.registry.selectors import get_model, get_version
from apps.routing import selectors, services
from apps.routing.api import examples
from apps.routing.api import serializers as shapes
from apps.routing.models import Endpoint, Generation, Override, Phase
from apps.routing.reading import read
from apps.routing.selectors import EndpointChange, get_endpoint, get_generation
from apps.routing.services import VariantWeight
from contracts.policy import Ensemble


class EndpointFilter(Filters):
    """`name` finds parts of names; `held` tells endpoints under a rollout or an experiment."""

    name = CharFilter(lookup_expr="icontains")
    model = CharFilter(field_name="model__name")
    team = CharFilter(field_name="team__key")
    held = BooleanFilter(field_name="leased_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Endpoint
        fields: tuple[str, ...] = ()


class Endpoints(Action, ListView):
    """All endpoints; add one."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.ROUTE}
    serializer_class = shows = shapes.EndpointSerializer
    filterset_class = EndpointFilter
    queryset = Endpoint.objects.described()
    takes = shapes.NewEndpointSerializer
    status = 201
    examples = (examples.NEW_ENDPOINT,)

    def act(self, given: dict[str, Any], **_: Any) -> Endpoint:
        """Add an endpoint; it serves nothing until it is given weights."""
        model = get_model(given.pop("model"))
        made = services.create_endpoint(actor=self.principal, model=model, **given)
        return described(made.name)


class OneEndpoint(ApiView):
    """One endpoint."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "PATCH": Permission.ROUTE}

    @extend_schema(responses=shapes.EndpointSerializer)
    def get(self, request: Request, name: str) -> Response:
        """An endpoint, and who gets what of it now."""
        return Response(shapes.EndpointSerializer(described(name)).data)

    @extend_schema(
        request=shapes.EndpointChangeSerializer,
        responses=shapes.EndpointSerializer,
        examples=examples.ENDPOINT_CHANGES,
    )
    def patch(self, request: Request, name: str) -> Response:
        """Change how it serves; nobody moves.

        `settings` replaces those of its parts that it names: `limits`, `policy`. What makes no
        sense, or has no place in what the endpoint serves, is refused (422) field by field.
        """
        given = validated(shapes.EndpointChangeSerializer(data=request.data))
        services.update_endpoint(actor=self.principal, endpoint=get_endpoint(name), **given)
        return Response(shapes.EndpointSerializer(described(name)).data)


class Weights(ApiView):
    """Who gets what."""

    permissions: ClassVar[Permissions] = {"PUT": Permission.ROUTE}

    @extend_schema(
        request=shapes.WeightsRequestSerializer,
        responses=shapes.GenerationSerializer,
        examples=[examples.WEIGHTS, examples.ENSEMBLE],
    )
    def put(self, request: Request, name: str) -> Response:
        """Give the versions these weights, moving the fewest users.

        Refused (409) for a version that is not approved for it or not deployed, while a rollout
        or an experiment holds the endpoint, and when it changed since `expected_revision`.
        """
        given = validated(shapes.WeightsRequestSerializer(data=request.data))
        endpoint = get_endpoint(name)
        given["weights"] = _weights(endpoint, given["weights"])
        generation = services.reallocate(
            actor=self.principal, endpoint=endpoint, holder="", **given
        )
        return Response(shapes.GenerationSerializer(generation).data)


class Preview(ApiView):
    """What a change of weights would do."""

    permissions: ClassVar[Permissions] = {"POST": Permission.VIEW}

    @extend_schema(
        request=shapes.PreviewRequestSerializer,
        responses=shapes.PreviewSerializer,
        examples=[examples.PREVIEW],
    )
    def post(self, request: Request, name: str) -> Response:
        """Who would move, without moving anyone."""
        given = validated(shapes.PreviewRequestSerializer(data=request.data))
        endpoint = get_endpoint(name)
        seen = services.preview(
            endpoint=endpoint,
            weights=_weights(endpoint, given["weights"]),
            new_candidate=given["new_candidate"],
        )
        moves = [
            {"before": before, "after": after, "buckets": buckets}
            for (before, after), buckets in sorted(seen.moves.items())
        ]
        return Response(
            {
                "revision": seen.revision,
                "weights": seen.weights,
                "moved": seen.moved,
                "moves": moves,
                "renews_salt": seen.renews_salt,
            }
        )


class Phases(ListView):
    """Phases of an endpoint."""

    serializer_class = shapes.PhaseSerializer
    queryset = Phase.objects.all()

    def get_queryset(self) -> QuerySet[Phase]:
        """Phases of the endpoint in the path."""
        return Phase.objects.filter(endpoint=_endpoint_of(self))


class Generations(ListView):
    """Generations of an endpoint."""

    serializer_class = shapes.GenerationSerializer
    queryset = Generation.objects.all()

    def get_queryset(self) -> QuerySet[Generation]:
        """Generations of the endpoint in the path."""
        rows = Generation.objects.filter(endpoint=_endpoint_of(self))
        return rows.select_related("endpoint", "phase")


class Overrides(ListView):
    """Withdrawals by single gateways."""

    serializer_class = shapes.OverrideSerializer
    queryset = Override.objects.all()

    def get_queryset(self) -> QuerySet[Override]:
        """Overrides on the endpoint in the path."""
        return Override.objects.filter(endpoint=_endpoint_of(self))


class Acknowledge(Action):
    """Let gateways forget a withdrawal; a candidate that still has weight gets it back."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ROUTE}
    takes = shapes.AcknowledgeRequestSerializer
    shows = shapes.EndpointSerializer
    examples = (examples.ACKNOWLEDGE,)

    def act(self, given: dict[str, Any], **path: Any) -> Endpoint:
        services.acknowledge_override(
            actor=self.principal,
            endpoint=get_endpoint(path["name"]),
            rollout_key=given.pop("rollout"),
            **given,
        )
        return described(path["name"])


class Restore(Action):
    """Bring back exactly the allocation of an earlier phase."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ROLL_BACK}
    takes = shapes.RestoreRequestSerializer
    shows = shapes.GenerationSerializer
    examples = (examples.RESTORE,)

    def act(self, given: dict[str, Any], **path: Any) -> Generation:
        return services.restore_phase(
            actor=self.principal,
            endpoint=get_endpoint(path["name"]),
            holder="",
            phase_number=given.pop("phase"),
            **given,
        )


class AssignmentView(ApiView):
    """Why did this user get that version?"""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(
        parameters=[
            OpenApiParameter("unit", str, required=True, description="as clients send it"),
            OpenApiParameter("at", OpenApiTypes.DATETIME, description="now, unless given"),
        ],
        responses=shapes.AssignmentSerializer,
    )
    def get(self, request: Request, name: str) -> Response:
        """Which version a unit was given at a moment, and by whose decision."""
        unit = request.query_params.get("unit", "")
        if not unit:
            raise Invalid("whom do you ask about?", field="unit")
        at = _moment(request.query_params.get("at", ""))
        found = selectors.assignment(get_endpoint(name), unit, at)
        return Response(shapes.AssignmentSerializer(found).data)


class Gateways(ApiView):
    """The gateway fleet."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.GatewaySerializer(many=True))
    def get(self, request: Request) -> Response:
        """Every gateway that ever reported, with how far it is behind."""
        return Response(shapes.GatewaySerializer(selectors.fleet(), many=True).data)


class Difference(ApiView):
    """Two states of the table, compared."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(
        parameters=[OpenApiParameter("since", int, description="the one before, unless given")],
        responses=shapes.DifferenceSerializer,
    )
    def get(self, request: Request, number: int) -> Response:
        """What changed between generation `since` and this one, endpoint by endpoint."""
        after = get_generation(number)
        before = get_generation(_number(request.query_params.get("since", str(number - 1))))
        changes = selectors.difference(before, after)
        body = {"before": before.number, "after": number, "endpoints": list(map(_told, changes))}
        return Response(shapes.DifferenceSerializer(body).data)


def described(name: str) -> Endpoint:
    """An endpoint with all that the API shows of it. Raises NotFound."""
    found = Endpoint.objects.described().filter(name=name).first()
    return found or get_endpoint(name)


def _endpoint_of(view: ListView) -> Endpoint | None:
    """The endpoint in the path; None while the OpenAPI document is made."""
    if view.is_described:
        return None
    return get_endpoint(view.kwargs["name"])


def _weights(endpoint: Endpoint, given: Sequence[Mapping[str, Any]]) -> list[VariantWeight]:
    return [_weight(endpoint, item, number) for number, item in enumerate(given)]


def _weight(endpoint: Endpoint, item: Mapping[str, Any], number: int) -> VariantWeight:
    try:
        version = get_version(endpoint.model.name, item["version"])
    except NotFound as error:
        raise Invalid(error.detail, field=f"weights[{number}].version") from error
    given = item.get("ensemble")
    return VariantWeight(
        key=item["variant"],
        role=item["role"],
        version=version,
        weight=item["weight"],
        ensemble=read(given, Ensemble, path=f"weights[{number}].ensemble") if given else None,
    )


def _moment(text: str) -> datetime:
    if not text:
        return timezone.now()
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise Invalid(f"{text!r} is not a time like 2026-03-01T12:00:00Z", field="at")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise Invalid(f"{text!r} is not a generation", field="since")
    return int(text)


def _told(change: EndpointChange) -> dict[str, object]:
    sides = zip(change.weights, change.versions, strict=True)
    before, after = ({"weights": w, "versions": v} for w, v in sides)
    return {
        "endpoint": change.name,
        "fields_changed": change.fields,
        "before": before,
        "after": after,
        "moved": change.moved,
    }
