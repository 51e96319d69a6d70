"""What every operation of the OpenAPI document says: credentials, problems, idempotency."""

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

if TYPE_CHECKING:  # views are made with this module's schemas
    from apps.accounts.api.base import Action

PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details; `errors` names each fault by its JSON path.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "example": "urn:switchyard:problem:not-found"},
        "title": {"type": "string", "example": "Not found"},
        "status": {"type": "integer", "example": 404},
        "detail": {"type": "string", "example": "there is no model fraud"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "detail"],
                "properties": {"path": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
LOCATION = {
    "description": "Where to look for the end of what was begun.",
    "schema": {"type": "string", "format": "uri-reference"},
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Any text of yours: the same request with the same key is done once.",
)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass
    """Bearer tokens."""

    target_class = "apps.accounts.api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """HTTP bearer authentication."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "swy_…"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass
    """The session of a person who signed in with a browser."""

    target_class = "apps.accounts.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        """Django's session cookie."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class ProblemSchema(AutoSchema):
    """Adds to each operation the problem answer, and to POSTs the Idempotency-Key.

    A view may name its `operations`, by method, and the `tags` that they stand under.
    """

    def get_operation_id(self) -> str:
        """The view's name for it, else one made of path and method."""
        named: dict[str, str] = getattr(self.view, "operations", {})
        return named.get(self.method) or super().get_operation_id()

    def get_tags(self) -> list[str]:
        """The view's, else the first word of the path."""
        return [*getattr(self.view, "tags", ())] or super().get_tags()

    def get_override_parameters(self) -> list[Any]:
        """The header of every POST."""
        return [IDEMPOTENCY_KEY] if self.method == "POST" else []

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation, with its answer when something is wrong."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            operation["responses"].setdefault("default", _problem_answer())
            if "202" in operation["responses"]:
                operation["responses"]["202"]["headers"] = {"Location": LOCATION}
        return operation


class ActionSchema(ProblemSchema):
    """Describes the POST of an `api.base.Action` by what the view takes, shows and does."""

    @property
    def action(self) -> "Action | None":
        """The view, when it is its POST that is being described."""
        return cast("Action", self.view) if self.method == "POST" else None

    def get_request_serializer(self) -> Any:
        """What the action reads."""
        return self.action.takes if self.action else super().get_request_serializer()

    def get_response_serializers(self) -> Any:
        """What the action answers, under its status."""
        if self.action is None:
            return super().get_response_serializers()
        return {self.action.status: self.action.shows}

    def get_examples(self) -> list[Any]:
        """The action's examples."""
        return [*self.action.examples] if self.action else super().get_examples()

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation, described by what its `act` says of itself, else by the view."""
        operation = super().get_operation(*args, **kwargs)
        if operation is not None and self.action:
            view = type(self.action)
            act = vars(view).get("act")
            operation["description"] = get_doc(act if act and act.__doc__ else view)
        return operation


def leave_out_short_addresses(endpoints: list[Any], **_: Any) -> list[Any]:
    """Preprocessing hook: `/v1/…` are second names of operations under `/api/v1/`."""
    return [endpoint for endpoint in endpoints if not endpoint[0].startswith("/v1/")]


def add_problem_schema(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: the schema that every problem answer refers to."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    return result


def _problem_answer() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "What went wrong",
        "content": {"application/problem+json": {"schema": schema}},
    }
