"""REST resources of the registry: each parses, makes one service call, and renders."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import (
    Action,
    ApiView,
    ListView,
    Permissions,
    ReasonInput,
    validated,
)
from apps.registry import selectors, services
from apps.registry.api import examples, filters
from apps.registry.api import serializers as shapes
from apps.registry.models import (
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageTransition,
    Validation,
    VersionStatus,
)
from apps.registry.selectors import get_model, get_promotion, get_validation, get_version


class Models(Action, ListView):
    """All models; register one."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.REGISTER}
    queryset = RegisteredModel.objects.select_related("team", "owner")
    serializer_class = shows = shapes.ModelSerializer
    filterset_class = filters.ModelFilter
    takes = shapes.NewModelSerializer
    status = 201
    examples = (examples.NEW_MODEL,)

    def act(self, given: dict[str, Any], **_: Any) -> RegisteredModel:
        """Register a model that a team answers for."""
        team_key = given.pop("team")
        return services.register_model(actor=self.principal, team_key=team_key, **given)


class Model(ApiView):
    """One model."""

    permissions: ClassVar[Permissions] = {
        "GET": Permission.VIEW,
        "PATCH": Permission.REGISTER,
        "DELETE": Permission.REGISTER,
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
        given = validated(shapes.ModelChangeSerializer(data=request.data))
        changed = services.update_model(actor=self.principal, model=get_model(model), **given)
        return Response(shapes.ModelSerializer(changed).data)

    @extend_schema(parameters=[ReasonInput], responses={204: None})
    def delete(self, request: Request, model: str) -> Response:
        """Delete a model of which no version is approved; its history stays."""
        given = validated(ReasonInput(data=request.query_params.dict()))
        services.delete_model(actor=self.principal, model=get_model(model), **given)
        return Response(status=204)


class Versions(Action, ListView):
    """Versions of a model; import one."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.REGISTER}
    serializer_class = shapes.VersionSummarySerializer
    filterset_class = filters.VersionFilter
    queryset = ModelVersion.objects.all()
    takes = shapes.NewVersionSerializer
    shows = shapes.VersionSerializer
    status = 201
    examples = (examples.FROM_RUN, examples.FROM_REGISTRY)

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """Versions of the model in the path."""
        rows = ModelVersion.objects.select_related("model")
        if self.is_described:
            return rows
        return rows.filter(model=get_model(self.kwargs["model"]))

    def post(self, request: Request, **path: Any) -> Response:
        """201 with a version that is ready, 202 with one to poll."""
        given = validated(self.takes(data=request.data))
        version = self.act(given, **path)
        address = reverse("api-version", args=[version.model.name, version.number])
        status = 201 if version.status == VersionStatus.READY else 202
        shown = self.shows(version).data
        return Response(shown, status=status, headers={"Location": address})

    def act(self, given: dict[str, Any], **path: Any) -> ModelVersion:
        """Import a version from MLflow: its artifact is copied, its digest kept.

        202 while the artifact is on its way: poll the address in Location until `status` is ready
        or failed.
        """
        wait_s = given.pop("wait_s")
        model = get_model(path["model"])
        version = services.import_version(actor=self.principal, model=model, **given)
        return services.await_version(version, wait_s=wait_s)


class Version(ApiView):
    """One version, by number or semantic version."""

    permissions: ClassVar[Permissions] = {
        "GET": Permission.VIEW,
        "PATCH": Permission.REGISTER,
        "DELETE": Permission.REGISTER,
    }

    @extend_schema(responses=shapes.VersionSerializer)
    def get(self, request: Request, model: str, version: str) -> Response:
        """All that is known about a version."""
        return Response(shapes.VersionSerializer(get_version(model, version)).data)

    @extend_schema(
        request=shapes.VersionChangeSerializer,
        responses=shapes.VersionSerializer,
        examples=[examples.VERSION_CHANGE],
    )
    def patch(self, request: Request, model: str, version: str) -> Response:
        """Change description or tags; events keep what they were."""
        given = validated(shapes.VersionChangeSerializer(data=request.data))
        found = get_version(model, version)
        changed = services.update_version(actor=self.principal, version=found, **given)
        return Response(shapes.VersionSerializer(changed).data)

    @extend_schema(parameters=[ReasonInput], responses={204: None})
    def delete(self, request: Request, model: str, version: str) -> Response:
        """Delete a version that is not approved; its number is not used again."""
        given = validated(ReasonInput(data=request.query_params.dict()))
        found = get_version(model, version)
        services.delete_version(actor=self.principal, version=found, **given)
        return Response(status=204)


class Validate(ApiView):
    """Validations are started here."""

    permissions: ClassVar[Permissions] = {"POST": Permission.VALIDATE}

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
        if self.is_described:
            return rows
        return rows.filter(version=get_version(self.kwargs["model"], self.kwargs["version"]))


class OneValidation(ApiView):
    """One validation."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.ValidationSerializer)
    def get(self, request: Request, validation_id: UUID) -> Response:
        """State and checks."""
        return Response(shapes.ValidationSerializer(get_validation(validation_id)).data)


class AskPromotion(Action):
    """Ask for the next stage, on the evidence of the newest validation."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REQUEST_PROMOTION}
    takes = shapes.NewPromotionSerializer
    shows = shapes.PromotionSerializer
    status = 201
    examples = (examples.PROMOTION,)

    def act(self, given: dict[str, Any], **path: Any) -> PromotionRequest:
        version = get_version(path["model"], path["version"])
        return services.request_promotion(actor=self.principal, version=version, **given)


class Promotions(ListView):
    """Promotion requests, newest first."""

    queryset = PromotionRequest.objects.select_related("version__model").prefetch_related(
        "approvals"
    )
    serializer_class = shapes.PromotionSerializer
    filterset_class = filters.PromotionFilter


class Promotion(ApiView):
    """One promotion request."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.PromotionSerializer)
    def get(self, request: Request, promotion_id: UUID) -> Response:
        """What is asked for, on what evidence, and what was decided."""
        return Response(shapes.PromotionSerializer(get_promotion(promotion_id)).data)


class Decision(Action):
    """What `service` does to a promotion request.

    The route asks for VIEW only: the service asks for the right to sign, so that the log keeps
    every attempt of somebody who may not.
    """

    permissions: ClassVar[Permissions] = {"POST": Permission.VIEW}
    shows = shapes.PromotionSerializer
    examples = (examples.REASON,)
    service: ClassVar[Callable[..., PromotionRequest]]

    def act(self, given: dict[str, Any], **path: Any) -> PromotionRequest:
        found = get_promotion(path["promotion_id"])
        return type(self).service(actor=self.principal, request=found, **given)


class Approve(Decision):
    """Sign: four eyes, humans only."""

    service = staticmethod(services.approve)


class Reject(Decision):
    """Decline, with a reason."""

    service = staticmethod(services.reject)


class Withdraw(Decision):
    """Take one's own request back."""

    service = staticmethod(services.withdraw)


class StageMove(Action):
    """A change of stage that needs no approval."""

    shows = shapes.VersionSerializer
    examples = (examples.REASON,)
    service: ClassVar[Callable[..., ModelVersion]]

    def act(self, given: dict[str, Any], **path: Any) -> ModelVersion:
        return type(self).service(
            actor=self.principal, version=get_version(path["model"], path["version"]), **given
        )


class Deprecate(StageMove):
    """Production gives way, and still serves."""

    permissions: ClassVar[Permissions] = {"POST": Permission.DEPLOY}
    service = staticmethod(services.deprecate)


class Archive(StageMove):
    """The end of a version."""

    permissions: ClassVar[Permissions] = {"POST": Permission.DEPLOY}
    service = staticmethod(services.archive)


class Reinstate(StageMove):
    """Back from deprecated into production."""

    permissions: ClassVar[Permissions] = {"POST": Permission.ROLL_BACK}
    service = staticmethod(services.reinstate)


class Transitions(ListView):
    """A version's history of stages, newest first."""

    serializer_class = shapes.TransitionSerializer
    filterset_class = None
    queryset = StageTransition.objects.all()

    def get_queryset(self) -> QuerySet[StageTransition]:
        """Transitions of the version in the path."""
        rows = StageTransition.objects.select_related("version__model")
        if self.is_described:
            return rows
        return rows.filter(version=get_version(self.kwargs["model"], self.kwargs["version"]))


class Production(ApiView):
    """Which versions were in production at a moment."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(
        parameters=[shapes.AtSerializer], responses=shapes.TransitionSerializer(many=True)
    )
    def get(self, request: Request, model: str) -> Response:
        """The transitions that had put them there, the newest first."""
        given = validated(shapes.AtSerializer(data=request.query_params.dict()))
        at = given.get("at") or timezone.now()
        found = selectors.production_at(get_model(model), at)
        rows = [each.transition for each in found]
        return Response(shapes.TransitionSerializer(rows, many=True).data)
