"""REST resources around artifacts: uploads, variants, reference profiles, cancelling."""

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.access import Permission
from apps.accounts.api.base import (
    Action,
    ApiView,
    Permissions,
    ReasonInput,
    StrictSerializer,
    validated,
)
from apps.registry import services
from apps.registry.api.serializers import VersionSerializer
from apps.registry.errors import NotFound
from apps.registry.models import ModelVersion, ReferenceProfile, VersionStatus
from apps.registry.selectors import get_model, get_version

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
UPLOADED = OpenApiExample(
    "Of an uploaded file",
    value={
        "sha256": SHA256,
        "signature": {
            "inputs": [{"name": "distance", "type": "double"}],
            "outputs": [],
        },
        "example": [{"distance": 500.0}],
        "label_map": {"0": "on time", "1": "delayed"},
    },
    request_only=True,
)
INT8 = OpenApiExample("INT8 weights", value={"kind": "int8"}, request_only=True)
CANCELLED = OpenApiExample("Cancel", value={"reason": "wrong run"}, request_only=True)


class UploadedSerializer(StrictSerializer):
    """Registers an ONNX file that was uploaded; `signature` is written as MLflow writes it."""

    sha256 = serializers.CharField(max_length=64)
    signature = serializers.DictField(help_text="MLflow's inputs and outputs, as lists.")
    example = serializers.ListField(child=serializers.DictField(), default=list, max_length=32)
    semantic_version = serializers.CharField(default="", allow_blank=True, max_length=60)
    description = serializers.CharField(default="", allow_blank=True, max_length=20_000)
    label_map = serializers.DictField(child=serializers.CharField(), required=False)
    decision_threshold = serializers.FloatField(required=False)
    wait_s = serializers.FloatField(min_value=0, max_value=60, default=0)


class DerivativeSerializer(StrictSerializer):
    """Asks for a smaller variant."""

    kind = serializers.ChoiceField(choices=["int8", "fp16"])


class KeptSerializer(serializers.Serializer[Any]):
    """A file in the store."""

    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()


class ReferenceSerializer(serializers.ModelSerializer[ReferenceProfile]):
    """What a version's training sample looked like."""

    version = serializers.CharField(source="version.version_key", read_only=True)
    profile = serializers.DictField(source="body", read_only=True)

    class Meta:
        model = ReferenceProfile
        fields = (
            "version",
            "format",
            "digest",
            "rows",
            "source",
            "comparable",
            "profile",
            "created_at",
        )
        read_only_fields = fields


def accepted(version: ModelVersion) -> Response:
    """201 with a version that is ready, 202 with one to poll."""
    status = 201 if version.status == VersionStatus.READY else 202
    address = f"/api/v1/models/{version.model.name}/versions/{version.number}"
    return Response(VersionSerializer(version).data, status=status, headers={"Location": address})


class Upload(ApiView):
    """Files that wait for their version."""

    permissions: ClassVar[Permissions] = {"PUT": Permission.REGISTER}

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY}, responses=KeptSerializer
    )
    def put(self, request: Request, model: str, sha256: str) -> Response:
        """Stream an ONNX file in; its bytes must have the SHA-256 of the address."""
        size = services.keep_upload(
            actor=self.principal, model=get_model(model), sha256=sha256, body=request._request
        )
        return Response(KeptSerializer({"sha256": sha256, "size_bytes": size}).data)


class Uploaded(Action):
    """Versions of files that were uploaded."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    takes = UploadedSerializer
    shows = VersionSerializer
    status = 202
    examples = (UPLOADED,)

    def post(self, request: Request, **path: Any) -> Response:
        """202 with a version to poll at Location, 201 when it is ready within `wait_s`."""
        return accepted(self.act(validated(self.takes(data=request.data)), **path))

    def act(self, given: dict[str, Any], **path: Any) -> ModelVersion:
        """Register an ONNX file that was uploaded before.

        202 with a version to poll; 201 when it is ready within `wait_s` seconds.
        """
        wait_s = given.pop("wait_s")
        model = get_model(path["model"])
        version = services.register_upload(actor=self.principal, model=model, **given)
        return services.await_version(version, wait_s=wait_s)


class Derive(Action):
    """Smaller variants."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    takes = DerivativeSerializer
    shows = VersionSerializer
    status = 202
    examples = (INT8,)

    def post(self, request: Request, **path: Any) -> Response:
        """202 with a version to poll at Location."""
        return accepted(self.act(validated(self.takes(data=request.data)), **path))

    def act(self, given: dict[str, Any], **path: Any) -> ModelVersion:
        """Make a variant with INT8 weights or in half precision: a version of its own.

        It is held against the version that it is made of, in size, speed and answers.
        """
        version = get_version(path["model"], path["version"])
        return services.derive(actor=self.principal, version=version, **given)


class CancelTakeover(Action):
    """Give up taking an artifact over."""

    permissions: ClassVar[Permissions] = {"POST": Permission.REGISTER}
    takes = ReasonInput
    shows = VersionSerializer
    examples = (CANCELLED,)

    def act(self, given: dict[str, Any], **path: Any) -> ModelVersion:
        """Stop taking the artifact of a pending version over: the version has failed."""
        version = get_version(path["model"], path["version"])
        return services.cancel_takeover(actor=self.principal, version=version, **given)


class VersionReference(ApiView):
    """The reference profile of a version."""

    permissions: ClassVar[Permissions] = {"GET": Permission.VIEW}

    @extend_schema(responses=ReferenceSerializer)
    def get(self, request: Request, model: str, version: str) -> Response:
        """Quantile bins, categories, missing values and predictions of its training sample."""
        found = get_version(model, version)
        row = ReferenceProfile.objects.filter(version=found).first()
        if row is None:
            raise NotFound(f"no sample was logged with {found}")
        row.version = found
        return Response(ReferenceSerializer(row).data)
