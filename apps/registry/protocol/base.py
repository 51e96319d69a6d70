"""What every call of MLflow's protocol stands on: its renderer, its errors, how it reads."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.accounts.api.base import ApiView
from apps.registry.protocol.messages import of_body, of_query
from apps.registry.protocol.openapi import ProtocolSchema
from apps.registry.protocol.refusals import Refusal, refusal_of

Message = TypeVar("Message", bound=msgspec.Struct)


class Renderer(JSONRenderer):
    """JSON, quickly: a page may hold thousands of versions."""

    def render(self, data: Any, *_: Any, **__: Any) -> bytes:
        """The encoded answer."""
        return msgspec.json.encode({} if data is None else data)


class Call(ApiView):
    """One address of the protocol; `messages` says what each of its methods reads."""

    renderer_classes = (Renderer,)
    schema = ProtocolSchema()
    tags = ("mlflow",)
    messages: ClassVar[Mapping[str, type[msgspec.Struct]]] = {}
    answers: ClassVar[str] = ""

    def given(self, kind: type[Message]) -> Message:
        """What the request holds. Raises a Refusal."""
        if self.request.method == "GET":
            return of_query(dict(self.request.query_params.lists()), kind)
        return of_body(self.request.data, kind)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """MLflow's errors instead of problem details."""
        return handle


def handle(error: Exception, _context: dict[str, Any]) -> Response | None:
    """The answer to an error; None leaves a fault of ours to Django."""
    if isinstance(error, RequestDataTooBig):
        error = Refusal("BAD_REQUEST", "the body is larger than this address takes", 413)
    if isinstance(error, Http404):
        error = Refusal("RESOURCE_DOES_NOT_EXIST", str(error))
    refusal = refusal_of(error)
    if refusal is None:
        return None
    body = {"error_code": refusal.code, "message": refusal.message}
    answer = Response(body, status=refusal.status)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        answer["WWW-Authenticate"] = 'Bearer realm="switchyard"'
    return answer
