"""REST resources of promotion requests: the inbox, checks, freezes broken, the talk, the past."""

from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
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
from apps.accounts.api.filters import Filters
from apps.events import export
from apps.events.errors import NotFound
from apps.registry import services
from apps.registry.api import promotion_examples as examples
from apps.registry.api import promotion_shapes as shapes
from apps.registry.api.serializers import PromotionSerializer
from apps.registry.dossier import as_json, dossier
from apps.registry.history import HistoryRow, as_csv, standing_at, transitions_of
from apps.registry.inbox import InboxFilter, inbox
from apps.registry.models import Comment, PromotionRequest, StageTransition
from apps.registry.selectors import get_model, get_promotion


class Inbox(ListView):
    """Promotion requests by part of the inbox."""

    serializer_class = PromotionSerializer
    filterset_class = None
    queryset = PromotionRequest.objects.all()

    @extend_schema(parameters=[shapes.InboxSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What waits for me, what I asked for, what was decided: newest first."""
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[PromotionRequest]:
        """Rows of the box that is asked for."""
        if self.is_described:
            return PromotionRequest.objects.all()
        asked = self.request.query_params.dict()
        asked.pop("cursor", None)
        given = validated(shapes.InboxSerializer(data=asked))
        rows = inbox(self.principal, InboxFilter.read(given), now=timezone.now())
        return rows.prefetch_related("approvals")


class Dossier(ApiView):
    """What stands between a request and its approval."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.DossierSerializer)
    def get(self, request: Request, promotion_id: UUID) -> Response:
        """What is missing, whether you may sign, what it would touch, and the way back."""
        found = dossier(get_promotion(promotion_id), self.principal, now=timezone.now())
        return Response(shapes.DossierSerializer(as_json(found)).data)


class Checks(ApiView):
    """The checks of a request."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=shapes.ChecksSerializer)
    def get(self, request: Request, promotion_id: UUID) -> Response:
        """Each check with its verdict, and how many have one."""
        return Response(checks_shown(get_promotion(promotion_id)))


def checks_shown(request: PromotionRequest) -> dict[str, Any]:
    """The checks of a request as they are shown."""
    rows = list(request.checks.all())
    return dict(
        shapes.ChecksSerializer(
            {
                "frozen_at": request.frozen_at,
                "done": sum(bool(row.verdict) for row in rows),
                "total": len(rows),
                "checks": rows,
            }
        ).data
    )


class RerunChecks(ApiView):
    """Checks are made again here."""

    permissions: ClassVar[Permissions] = {"POST": Permission.VALIDATE}

    @extend_schema(
        request=shapes.RerunSerializer,
        responses={202: shapes.ChecksSerializer},
        examples=[examples.RERUN],
    )
    def post(self, request: Request, promotion_id: UUID) -> Response:
        """Make the named checks again, or all; poll the request's checks."""
        given = validated(shapes.RerunSerializer(data=request.data))
        found = get_promotion(promotion_id)
        services.rerun_checks(actor=self.principal, request=found, names=given.get("checks"))
        place = f"/api/v1/promotion-requests/{found.pk}/checks"
        return Response(checks_shown(found), status=202, headers={"Location": place})


class WaiveCheck(Action):
    """Let a check go that could not tell, where the policy allows it.

    The route asks for VIEW only: the service asks for the right to sign, and keeps the attempt.
    """

    permissions: ClassVar[Permissions] = {"POST": Permission.VIEW}
    takes = ReasonInput
    shows = PromotionSerializer

    def act(self, given: dict[str, Any], **path: Any) -> PromotionRequest:
        found = get_promotion(path["promotion_id"])
        name = path["check"]
        return services.waive_check(actor=self.principal, request=found, name=name, **given)


class BreakGlass(Action):
    """Let a request through a freeze; somebody else has to sign it."""

    permissions: ClassVar[Permissions] = {"POST": Permission.VIEW}
    takes = ReasonInput
    shows = PromotionSerializer

    def act(self, given: dict[str, Any], **path: Any) -> PromotionRequest:
        found = get_promotion(path["promotion_id"])
        return services.break_glass(actor=self.principal, request=found, **given)


class CommentFilter(Filters):
    """By the human who wrote."""

    class Meta:
        model = Comment
        fields = ("author",)


class Comments(Action, ListView):
    """The talk about a request, newest first; say something."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW, "POST": Permission.VIEW}
    serializer_class = shows = shapes.CommentSerializer
    filterset_class = CommentFilter
    queryset = Comment.objects.all()
    takes = shapes.BodySerializer
    status = 201
    examples = (examples.COMMENT,)

    def get_queryset(self) -> QuerySet[Comment]:
        """Comments of the request in the path."""
        if self.is_described:
            return Comment.objects.all()
        request = get_promotion(self.kwargs["promotion_id"])
        return request.comments.prefetch_related("editions")

    def act(self, given: dict[str, Any], **path: Any) -> Comment:
        """Say something about a request."""
        found = get_promotion(path["promotion_id"])
        return services.comment(actor=self.principal, request=found, **given)


class OneComment(ApiView):
    """One comment."""

    permissions: ClassVar[Permissions] = {"PATCH": Permission.VIEW}

    @extend_schema(
        request=shapes.BodySerializer,
        responses=shapes.CommentSerializer,
        examples=[examples.COMMENT],
    )
    def patch(self, request: Request, promotion_id: UUID, comment_id: UUID) -> Response:
        """Change one's own words; what they were stays readable."""
        given = validated(shapes.BodySerializer(data=request.data))
        found = get_promotion(promotion_id)
        row = found.comments.filter(pk=comment_id).first()
        if row is None:
            raise NotFound(f"the request has no comment {comment_id}")
        changed = services.edit_comment(actor=self.principal, comment=row, **given)
        return Response(shapes.CommentSerializer(changed).data)


class History(ListView):
    """Changes of stage of a model's versions, with the requests and approvals behind them."""

    serializer_class = shapes.HistorySerializer
    filterset_class = None
    queryset = StageTransition.objects.all()

    @extend_schema(parameters=[shapes.MomentSerializer])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """All changes, newest first; `at`: those that had put versions where they stood then."""
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[StageTransition]:
        """Changes of the model in the path."""
        if self.is_described:
            return StageTransition.objects.all()
        asked = self.request.query_params.dict()
        asked.pop("cursor", None)
        given = validated(shapes.MomentSerializer(data=asked))
        model, stage = get_model(self.kwargs["model"]), given.get("stage", "")
        if "at" in given:
            return standing_at(model, given["at"], stage=stage)
        rows = transitions_of(model)
        return rows.filter(to_stage=stage) if stage else rows

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Rows are shown as the history tells them."""
        if args and kwargs.get("many"):
            args = ([HistoryRow(row).as_json() for row in args[0]], *args[1:])
        return super().get_serializer(*args, **kwargs)


class HistoryTable(ApiView):
    """A model's history of stages as a table."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request, model: str) -> StreamingHttpResponse:
        """Every change of stage, oldest first, as CSV."""
        found = get_model(model)
        name = f"{found.pk}-history.csv"
        chunks = as_csv(found)
        return export.stream(request._request, chunks, content_type="text/csv", name=name)
