"""What models and versions are called and marked with: aliases, new names, and their end."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import (
    Action,
    ApiView,
    ListView,
    Permissions,
    StrictSerializer,
    validated,
)
from apps.registry import services
from apps.registry.api.serializers import ModelSerializer
from apps.registry.models import NAME_LENGTH, ModelAlias, RegisteredModel
from apps.registry.selectors import get_model, get_version

POINTED = OpenApiExample("A version by its number", value={"version": "3"}, request_only=True)
RENAMED = OpenApiExample(
    "A better name", value={"new_name": "arrivals", "reason": "that is what it tells"}
)


class AliasSerializer(serializers.ModelSerializer[ModelAlias]):
    """An alias, the version that it points at, and who set it."""

    alias = serializers.CharField(source="name", read_only=True)
    version = serializers.CharField(source="version.version_key", read_only=True)

    class Meta:
        model = ModelAlias
        fields = ("alias", "version", "set_by", "set_at")
        read_only_fields = fields


class PointSerializer(StrictSerializer):
    """Which version, by number or semantic version."""

    version = serializers.CharField(max_length=60)


class NewNameSerializer(StrictSerializer):
    """A model's new name, and why."""

    new_name = serializers.CharField(max_length=NAME_LENGTH)
    reason = serializers.CharField(default="", allow_blank=True, max_length=10_000)


class Aliases(ListView):
    """Aliases of a model."""

    serializer_class = AliasSerializer
    filterset_class = None
    queryset = ModelAlias.objects.all()

    def get_queryset(self) -> QuerySet[ModelAlias]:
        """Aliases of the model in the path."""
        rows = ModelAlias.objects.select_related("version__model")
        return rows if self.is_described else rows.filter(model=get_model(self.kwargs["model"]))


class Alias(ApiView):
    """One alias; `champion` follows promotion and is not set by hand before an approval."""

    permissions: ClassVar[Permissions] = {
        "PUT": Permission.REGISTER,
        "DELETE": Permission.REGISTER,
    }

    @extend_schema(request=PointSerializer, responses=AliasSerializer, examples=[POINTED])
    def put(self, request: Request, model: str, alias: str) -> Response:
        """Point the alias at a version."""
        given = validated(PointSerializer(data=request.data))
        row = services.set_alias(
            actor=self.principal,
            model=get_model(model),
            alias=alias,
            version=get_version(model, given["version"]),
        )
        return Response(AliasSerializer(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, model: str, alias: str) -> Response:
        """Take the alias away."""
        services.delete_alias(actor=self.principal, model=get_model(model), alias=alias)
        return Response(status=204)


class Rename(Action):
    """Give a model another name, unless a version of it was ever approved."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    takes = NewNameSerializer
    shows = ModelSerializer
    examples = (RENAMED,)

    def act(self, given: dict[str, Any], **path: Any) -> RegisteredModel:
        return services.rename_model(actor=self.principal, model=get_model(path["model"]), **given)
