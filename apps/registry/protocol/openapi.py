"""How calls of MLflow's protocol appear in the OpenAPI document."""

from typing import TYPE_CHECKING, Any, cast

import msgspec
from drf_spectacular.utils import OpenApiParameter

from apps.accounts.api.openapi import ProblemSchema
from apps.accounts.api.structs import schema_of
from apps.registry.protocol import messages

if TYPE_CHECKING:  # calls are made with this module's schema
    from apps.registry.protocol.base import Call

REFERENCE = {
    "description": "MLflow's own description of its REST API",
    "url": "https://mlflow.org/docs/latest/api_reference/rest-api.html",
}
ERROR = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {
        "error_code": {"type": "string", "example": "RESOURCE_DOES_NOT_EXIST"},
        "message": {"type": "string", "example": "Registered Model with name=fraud not found"},
    },
}
VERSION = {"name": "flights", "version": "2"}
EXAMPLES: dict[type[msgspec.Struct], dict[str, Any]] = {
    messages.ModelName: {"name": "flights"},
    messages.NewModel: {"name": "flights", "tags": [{"key": "switchyard.team", "value": "ops"}]},
    messages.ModelChange: {"name": "flights", "description": "Will this flight be late?"},
    messages.NewName: {"name": "flights", "new_name": "arrivals"},
    messages.Latest: {"name": "flights", "stages": ["Production"]},
    messages.ModelTag: {"name": "flights", "key": "domain", "value": "aviation"},
    messages.ModelTagKey: {"name": "flights", "key": "domain"},
    messages.AliasName: {"name": "flights", "alias": "candidate"},
    messages.NewAlias: {**VERSION, "alias": "candidate"},
    messages.NewVersion: {
        "name": "flights",
        "source": "runs:/6898e7d3130e4d7f8ab7c9747f799908/model",
        "run_id": "6898e7d3130e4d7f8ab7c9747f799908",
    },
    messages.VersionName: VERSION,
    messages.VersionChange: {**VERSION, "description": "trained on February's flights"},
    messages.VersionTag: {**VERSION, "key": "squad", "value": "punctuality"},
    messages.VersionTagKey: {**VERSION, "key": "squad"},
    messages.StageChange: {**VERSION, "stage": "Production"},
}


class ProtocolSchema(ProblemSchema):
    """Describes a call by the messages that it reads; its errors are MLflow's."""

    @property
    def call(self) -> "Call":
        """The view."""
        return cast("Call", self.view)

    def get_operation_id(self) -> str:
        """The address, and the method."""
        words = self.path.strip("/").replace("-", "_").split("/")[2:]
        return "_".join([*(word.strip("{}") for word in words), self.method.lower()])

    def get_request_serializer(self) -> Any:
        """Bodies are described by their messages, below."""
        return None

    def get_response_serializers(self) -> Any:
        """An object of MLflow's."""
        name = self.call.answers
        known: dict[str, Any] = {"properties": {name: {}}} if name else {}
        return {200: {"type": "object", "externalDocs": REFERENCE, **known}}

    def get_override_parameters(self) -> list[Any]:
        """What a GET asks with."""
        kind = self.call.messages.get("GET")
        if self.method != "GET" or kind is None:
            return super().get_override_parameters()
        return [
            OpenApiParameter(field.name, msgspec.json.schema(field.type), required=field.required)
            for field in msgspec.structs.fields(kind)
        ]

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation with its body and MLflow's error."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        answer = {"description": "What went wrong", "content": {"application/json": {}}}
        answer["content"] = {"application/json": {"schema": ERROR}}
        operation["responses"]["default"] = answer
        kind = self.call.messages.get(self.method)
        if kind is not None and self.method != "GET":
            operation["requestBody"] = _body(kind)
        return operation


def _body(kind: type[msgspec.Struct]) -> dict[str, Any]:
    shown = {"An example": {"value": EXAMPLES[kind]}}
    content = {"application/json": {"schema": schema_of(kind), "examples": shown}}
    return {"required": True, "content": content}
