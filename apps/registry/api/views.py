"""REST resources of the registry: each parses, makes one service call, and renders."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.accounts.access import Permission
from apps.accounts.api.base import ApiGenericView, ApiView
from apps.registry import selectors, services
from apps.registry.api import examples, filters
from apps.registry.api import serializers as shapes
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
    Validation,
)
from apps.registry.selectors import get_model, get_promotion, get_validation, get_version


def read(serializer: type[BaseSerializer[Any]], data: Any) -> dict[str, Any]:
    """Checked input. Raises ValidationError naming each fault."""
    parsed = serializer(data=data)
    parsed.is_valid(raise_exception=True)
    values: dict[str, Any] = parsed.validated_data
    return values


class ListView(ListAPIView[Any], ApiGenericView):
    """A list with filters, in pages by position."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}


class Models(ListView):
    """All models; register one."""

    permissions: ClassVar[Mapping[str, Permission]] = {
        "GET": Permission.VIEW,
        "POST": Permission.REGISTER,
    }
    queryset = RegisteredModel.objects.select_related("team", "owner")
    serializer_class = shapes.ModelSerializer
    filterset_class = filters.ModelFilter

    @extend_schema(
        request=shapes.NewModelSerializer,
        responses={201: shapes.ModelSerializer},
        examples=[examples.NEW_MODEL],
    )
    def post(self, request: Request) -> Response:
        """Register a model that a team answers for."""
        given = read(shapes.NewModelSerializer, request.data)
        team_key = given.pop("team")
        model = services.register_model(actor=self.principal, team_key=team_key, **given)
        return Response(shapes.ModelSerializer(model).data, status=201)


class Model(ApiView):
    """One model."""

    permissions: ClassVar[Mapping[str, Permission]] = {
        "GET": Permission.VIEW,
        "PATCH": Permission.REGISTER,
    }

    @extend_schema(responses=shapes.ModelSerializer)
    def get(self, request: Request, model: str) -> Response:
        """A model's description."""
        return Response(shapes.ModelSerializer(get_model(model)).data)

    @extend_schema(
        request=shapes.ModelChangeSerializer,
        responses=shapes.ModelSerializer,
        examples=[examples.MODEL_CHANGE],
    )
    def patch(self, request: Request, model: str) -> Response:
        """Change description, tags, tier or owner."""
        given = read(shapes.ModelChangeSerializer, request.data)
        changed = services.update_model(actor=self.principal, model=get_model(model), **given)
        return Response(shapes.ModelSerializer(changed).data)


class Versions(ListView):
    """Versions of a model; import one."""

    permissions: ClassVar[Mapping[str, Permission]] = {
        "GET": Permission.VIEW,
        "POST": Permission.REGISTER,
    }
    serializer_class = shapes.VersionSummarySerializer
    filterset_class = filters.VersionFilter
    queryset = ModelVersion.objects.all()

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """Versions of the model in the path."""
        name = self.kwargs.get("model", "")
        if not getattr(self, "swagger_fake_view", False):
            get_model(name)
        return ModelVersion.objects.of_model(name).select_related("model")

    @extend_schema(
        request=shapes.NewVersionSerializer,
        responses={201: shapes.VersionSerializer},
        examples=[examples.FROM_RUN, examples.FROM_REGISTRY],
    )
    def post(self, request: Request, model: str) -> Response:
        """Import a version from MLflow: its artifact is copied, its digest kept."""
        given = read(shapes.NewVersionSerializer, request.data)
        version = services.import_version(actor=self.principal, model=get_model(model), **given)
        return Response(shapes.VersionSerializer(version).data, status=201)


class Version(ApiView):
    """One version, by number or semantic version."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.VersionSerializer)
    def get(self, request: Request, model: str, version: str) -> Response:
        """All that is known about a version."""
        return Response(shapes.VersionSerializer(get_version(model, version)).data)


class Validate(ApiView):
    """Validations are started here."""

    permissions: ClassVar[Mapping[str, Permission]] = {"POST": Permission.VALIDATE}

    @extend_schema(request=None, responses={202: shapes.ValidationSerializer})
    def post(self, request: Request, model: str, version: str) -> Response:
        """Have a version examined; poll the validation that is answered."""
        found = get_version(model, version)
        validation = services.start_validation(actor=self.principal, version=found)
        answer = shapes.ValidationSerializer(validation).data
        return Response(
            answer, status=202, headers={"Location": f"/api/v1/validations/{validation.pk}"}
        )


class Validations(ListView):
    """Validations of a version, newest first."""

    serializer_class = shapes.ValidationSerializer
    filterset_class = filters.ValidationFilter
    queryset = Validation.objects.all()

    def get_queryset(self) -> QuerySet[Validation]:
        """Validations of the version in the path."""
        rows = Validation.objects.select_related("version__model")
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(version=get_version(self.kwargs["model"], self.kwargs["version"]))


class OneValidation(ApiView):
    """One validation."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.ValidationSerializer)
    def get(self, request: Request, validation_id: UUID) -> Response:
        """State and checks."""
        return Response(shapes.ValidationSerializer(get_validation(validation_id)).data)


class AskPromotion(ApiView):
    """Promotion requests are made here."""

    permissions: ClassVar[Mapping[str, Permission]] = {"POST": Permission.REQUEST_PROMOTION}

    @extend_schema(
        request=shapes.NewPromotionSerializer,
        responses={201: shapes.PromotionSerializer},
        examples=[examples.PROMOTION],
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """Ask for the next stage, on the evidence of the newest validation."""
        given = read(shapes.NewPromotionSerializer, request.data)
        found = get_version(model, version)
        asked = services.request_promotion(actor=self.principal, version=found, **given)
        return Response(shapes.PromotionSerializer(asked).data, status=201)


class Promotions(ListView):
    """Promotion requests, newest first."""

    queryset = PromotionRequest.objects.select_related("version__model")
    serializer_class = shapes.PromotionSerializer
    filterset_class = filters.PromotionFilter


class Promotion(ApiView):
    """One promotion request."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.PromotionSerializer)
    def get(self, request: Request, promotion_id: UUID) -> Response:
        """What is asked for, on what evidence, and what was decided."""
        return Response(shapes.PromotionSerializer(get_promotion(promotion_id)).data)


class Decision(ApiView):
    """What `decide` does to a promotion request.

    The route asks for VIEW only: the service asks for the right to sign, so that the log keeps
    every attempt of somebody who may not.
    """

    permissions: ClassVar[Mapping[str, Permission]] = {"POST": Permission.VIEW}
    decide: ClassVar[Callable[..., PromotionRequest]]

    @extend_schema(
        request=shapes.ReasonSerializer,
        responses=shapes.PromotionSerializer,
        examples=[examples.REASON],
    )
    def post(self, request: Request, promotion_id: UUID) -> Response:
        """Decide a promotion request."""
        given = read(shapes.ReasonSerializer, request.data)
        found = get_promotion(promotion_id)
        decided = type(self).decide(actor=self.principal, request=found, **given)
        return Response(shapes.PromotionSerializer(decided).data)


class Approve(Decision):
    """Sign: four eyes, humans only."""

    decide = staticmethod(services.approve)


class Reject(Decision):
    """Decline, with a reason."""

    decide = staticmethod(services.reject)


class Withdraw(Decision):
    """Take one's own request back."""

    decide = staticmethod(services.withdraw)


class StageMove(ApiView):
    """A change of stage that needs no approval."""

    move: ClassVar[Callable[..., ModelVersion]]

    @extend_schema(
        request=shapes.ReasonSerializer,
        responses=shapes.VersionSerializer,
        examples=[examples.REASON],
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """Change the stage."""
        given = read(shapes.ReasonSerializer, request.data)
        found = get_version(model, version)
        moved = type(self).move(actor=self.principal, version=found, **given)
        return Response(shapes.VersionSerializer(moved).data)


class Deprecate(StageMove):
    """Production gives way, and still serves."""

    permissions: ClassVar[Mapping[str, Permission]] = {"POST": Permission.DEPLOY}
    move = staticmethod(services.deprecate)


class Archive(StageMove):
    """The end of a version."""

    permissions: ClassVar[Mapping[str, Permission]] = {"POST": Permission.DEPLOY}
    move = staticmethod(services.archive)


class Reinstate(StageMove):
    """Back from deprecated into production."""

    permissions: ClassVar[Mapping[str, Permission]] = {"POST": Permission.ROLL_BACK}
    move = staticmethod(services.reinstate)


class Transitions(ListView):
    """A version's history of stages, newest first."""

    serializer_class = shapes.TransitionSerializer
    filterset_class = None
    queryset = StageTransition.objects.all()

    def get_queryset(self) -> QuerySet[StageTransition]:
        """Transitions of the version in the path."""
        rows = StageTransition.objects.select_related("version__model")
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(version=get_version(self.kwargs["model"], self.kwargs["version"]))


class Production(ApiView):
    """Which versions were in production at a moment."""

    permissions: ClassVar[Mapping[str, Permission]] = {"GET": Permission.VIEW}

    @extend_schema(
        parameters=[shapes.AtSerializer], responses=shapes.TransitionSerializer(many=True)
    )
    def get(self, request: Request, model: str) -> Response:
        """The transitions that had put them there, the newest first."""
        given = read(shapes.AtSerializer, request.query_params.dict())
        at = given.get("at") or timezone.now()
        found = selectors.production_at(get_model(model), at)
        rows = [each.transition for each in found]
        return Response(shapes.TransitionSerializer(rows, many=True).data)
