"""REST: mirrors of MLflow's registries, and what is otherwise there."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import REASON, Action, ApiView, ListView, reason_of, validated
from apps.accounts.api.filters import CharFilter, Filters, WordFilter
from apps.accounts.selectors import get_team
from apps.mirror import selectors, services
from apps.mirror.api import examples
from apps.mirror.api import serializers as shapes
from apps.mirror.models import Difference, DifferenceKind, DifferenceState, Mirror

TAGS = ["mirrors"]


class MirrorFilter(Filters):
    """`team` is a team's key."""

    team = CharFilter(field_name="team__key")

    class Meta:
        model = Mirror
        fields: tuple[str, ...] = ()


class DifferenceFilter(Filters):
    """`state` and `kind` are words of the table; `name` is MLflow's name of the model."""

    state = WordFilter(DifferenceState)
    kind = WordFilter(DifferenceKind)
    name = CharFilter(field_name="mirrored__name")

    class Meta:
        model = Difference
        fields: tuple[str, ...] = ()


class MirrorsView(Action, ListView):
    """Every team's mirrors."""

    permissions = {"GET": Permission.VIEW, "POST": Permission.ADMINISTER}
    operations = {"GET": "mirrors_list", "POST": "mirrors_create"}
    tags = TAGS
    queryset = Mirror.objects.all()
    serializer_class = shapes.MirrorSerializer
    shows = shapes.NewMirrorSerializer
    takes = shapes.MirrorInput
    filterset_class = MirrorFilter
    status = 201
    keeps_answers = False
    examples = (examples.NEW, examples.MADE)

    def get_queryset(self) -> QuerySet[Mirror]:
        """Those that the principal may see."""
        if self.is_described:
            return super().get_queryset()
        return selectors.counted(selectors.mirrors_of(self.principal))

    def act(self, given: dict[str, Any], **_: Any) -> Mirror:
        """Link a registry; the secret of its hints is shown this once."""
        team = get_team(given.pop("team"))
        mirror, secret = services.create_mirror(
            actor=self.principal, team=team, **shapes.given_fields(given)
        )
        mirror.secret = secret  # type: ignore[attr-defined]  # shown, and kept nowhere
        return mirror


class MirrorView(ApiView):
    """One mirror."""

    permissions = {
        "GET": Permission.VIEW,
        "PATCH": Permission.ADMINISTER,
        "DELETE": Permission.ADMINISTER,
    }

    @extend_schema(
        operation_id="mirrors_get",
        tags=TAGS,
        responses=shapes.MirrorSerializer,
        examples=[examples.SEEN],
    )
    def get(self, request: Request, pk: int) -> Response:
        """A mirror, and how it fares."""
        return Response(shapes.MirrorSerializer(selectors.get_mirror(self.principal, pk)).data)

    @extend_schema(
        operation_id="mirrors_change",
        tags=TAGS,
        request=shapes.MirrorChange,
        responses=shapes.MirrorSerializer,
        examples=[examples.CHANGE],
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Change what is given; the rest stays, and always the address."""
        given = validated(shapes.MirrorChange(data=request.data))
        mirror = selectors.get_mirror(self.principal, pk)
        services.change_mirror(actor=self.principal, mirror=mirror, **shapes.given_fields(given))
        return Response(shapes.MirrorSerializer(selectors.get_mirror(self.principal, pk)).data)

    @extend_schema(
        operation_id="mirrors_delete", tags=TAGS, parameters=[REASON], responses={204: None}
    )
    def delete(self, request: Request, pk: int) -> Response:
        """Take the link away with its differences; models and versions stay, here and there."""
        services.delete_mirror(
            actor=self.principal,
            mirror=selectors.get_mirror(self.principal, pk),
            reason=reason_of(request),
        )
        return Response(status=204)


class _OfMirror(Action):
    """What is done with a mirror, with a reason."""

    shows = shapes.MirrorSerializer
    tags = TAGS

    def mirror(self, path: dict[str, Any]) -> Mirror:
        return selectors.get_mirror(self.principal, path["pk"])


class PollView(_OfMirror):
    """Look at everything as soon as a worker is free; `sweeping` and `swept_at` tell of it."""

    permissions = {"POST": Permission.REGISTER}
    operations = {"POST": "mirrors_poll"}
    status = 202
    polls = ("api-mirror", "id")
    examples = (examples.POLL, examples.SEEN)

    def act(self, given: dict[str, Any], **path: Any) -> Mirror:
        services.poll_mirror(actor=self.principal, mirror=self.mirror(path), **given)
        return self.mirror(path)


class PauseView(_OfMirror):
    """Neither poll nor write back."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "mirrors_pause"}
    examples = (examples.PAUSE, examples.SEEN)

    def act(self, given: dict[str, Any], **path: Any) -> Mirror:
        services.pause_mirror(actor=self.principal, mirror=self.mirror(path), **given)
        return self.mirror(path)


class ResumeView(_OfMirror):
    """Poll and write back again; what happened meanwhile is found and written."""

    permissions = {"POST": Permission.ADMINISTER}
    operations = {"POST": "mirrors_resume"}
    examples = (examples.RESUME, examples.SEEN)

    def act(self, given: dict[str, Any], **path: Any) -> Mirror:
        services.resume_mirror(actor=self.principal, mirror=self.mirror(path), **given)
        return self.mirror(path)


class DifferencesView(ListView):
    """What was changed in one MLflow behind our back, the newest first."""

    operations = {"GET": "mirror_differences_list"}
    tags = TAGS
    queryset = Difference.objects.all()
    serializer_class = shapes.MirrorDifferenceSerializer
    filterset_class = DifferenceFilter

    def get_queryset(self) -> QuerySet[Difference]:
        """Differences of the mirror in the path."""
        if self.is_described:
            return super().get_queryset()
        mirror = selectors.get_mirror(self.principal, self.kwargs["pk"])
        return selectors.differences_of(self.principal).filter(mirrored__mirror=mirror)


class DifferenceView(ApiView):
    """One difference."""

    permissions = {"GET": Permission.VIEW}

    @extend_schema(
        operation_id="mirror_differences_get",
        tags=TAGS,
        responses=shapes.MirrorDifferenceSerializer,
        examples=[examples.DIFFERENCE],
    )
    def get(self, request: Request, pk: int) -> Response:
        """A difference: what it was, what it is, who did it where MLflow knows."""
        found = selectors.get_difference(self.principal, pk)
        return Response(shapes.MirrorDifferenceSerializer(found).data)


class AcceptView(Action):
    """Let it stand. What is approved and what serves is not changed by this."""

    permissions = {"POST": Permission.DEPLOY}
    operations = {"POST": "mirror_differences_accept"}
    tags = TAGS
    shows = shapes.MirrorDifferenceSerializer
    examples = (examples.ACCEPT, examples.DIFFERENCE)

    def act(self, given: dict[str, Any], **path: Any) -> Difference:
        found = selectors.get_difference(self.principal, path["pk"])
        return services.accept(actor=self.principal, difference=found, **given)


class RevertView(Action):
    """Put back in MLflow what was there."""

    permissions = {"POST": Permission.DEPLOY}
    operations = {"POST": "mirror_differences_revert"}
    tags = TAGS
    shows = shapes.MirrorDifferenceSerializer
    examples = (examples.REVERT, examples.DIFFERENCE)

    def act(self, given: dict[str, Any], **path: Any) -> Difference:
        found = selectors.get_difference(self.principal, path["pk"])
        return services.revert(actor=self.principal, difference=found, **given)
