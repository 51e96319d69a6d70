"""The Open Inference Protocol over HTTP: paths under /v2, as Triton and KServe answer them.

`model` is an endpoint, the path of a prediction is the same. Health is told to everyone, the rest
to clients about the endpoints that they may ask.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

import msgspec

from dataplane.gateway import describe
from dataplane.gateway.clients import Key, authenticate, require_endpoint
from dataplane.gateway.coding import coded
from dataplane.gateway.decode import find_endpoint
from dataplane.gateway.endpoint import PredictPath, Question, Snapshot
from dataplane.gateway.http import Exchange
from dataplane.gateway.infer import InferRequest, answer_infer, decode_infer
from dataplane.gateway.metrics import Metrics
from dataplane.gateway.problems import PROBLEM_JSON, Refusal
from dataplane.gateway.respond import failure_of
from dataplane.gateway.table import Endpoint, Variant
from dataplane.gateway.tensors import Tensor, read_rows
from dataplane.gateway.trace import read as read_trace
from dataplane.gateway.wishes import timeout_of, unit_of
from serving.validation import Row as Values

USER_HEADER = b"x-switchyard-user"
NOT_OFFERED: Mapping[str, str] = {
    "load": "models are loaded by the control plane, not by clients",
    "unload": "models are unloaded by the control plane, not by clients",
    "systemsharedmemory": "shared memory is not offered: send tensors in the request",
    "cudasharedmemory": "shared memory is not offered: send tensors in the request",
    "trace": "trace settings are not offered: send traceparent",
    "logging": "log settings are the operator's",
    "generate": "text generation is not offered: use infer",
    "generate_stream": "streaming is not offered: use infer once for each answer",
}
Ready = Callable[[Endpoint, str], Awaitable[bool]]


class V2:
    """`handle` takes every request under /v2 that is not about the server's health."""

    def __init__(
        self, *, path: PredictPath, snapshot: Snapshot, metrics: Metrics, ready: Ready
    ) -> None:
        self._path = path
        self._snapshot = snapshot
        self._metrics = metrics
        self._ready = ready

    def handle(self, exchange: Exchange) -> None:
        """Answer, now or later. Raises Refusal."""
        segments = _segments(exchange.path)
        match segments:
            case []:
                self._key(exchange)
                _tell(exchange, describe.SERVER)
            case ["models", "stats"]:
                endpoints = describe.allowed(self._snapshot.table, self._key(exchange))
                _tell(exchange, describe.statistics(endpoints, "", self._metrics))
            case ["models", model, "versions", version, *rest]:
                self._model(exchange, model, version, rest)
            case ["models", model, *rest]:
                self._model(exchange, model, "", rest)
            case ["repository", "index"]:
                key = self._key(exchange, b"POST")
                _tell(exchange, describe.index(self._snapshot.table, key))
            case _:
                raise _nothing_at(segments)

    def _model(self, exchange: Exchange, model: str, version: str, rest: Sequence[str]) -> None:
        match rest:
            case ["infer"]:
                self._infer(exchange, model, version)
            case ["ready"]:
                _require_method(exchange, b"GET")
                work = self._answer_ready(exchange, model, version)
                self._path.later.answer(exchange, work, refuse)
            case []:
                endpoint, variant = self._described(exchange, model, version)
                _tell(exchange, describe.metadata(endpoint, variant))
            case ["config"]:
                endpoint, variant = self._described(exchange, model, version)
                _tell(exchange, describe.config(endpoint, variant))
            case ["stats"]:
                endpoint = self._endpoint(self._key(exchange), model)
                _tell(exchange, describe.statistics([endpoint], version, self._metrics))
            case _:
                raise _nothing_at(rest)

    def _infer(self, exchange: Exchange, model: str, version: str) -> None:
        self._key(exchange, b"POST")  # before anything is decoded
        request, tensors = decode_infer(exchange)
        header = exchange.headers.get(USER_HEADER, b"").decode(errors="replace")
        question = Question(
            model=model,
            user_id=unit_of(request.parameters, header),
            version=version or None,
            timeout_s=timeout_of(request.parameters, exchange.headers),
            size=len(exchange.body),
            trace=read_trace(exchange.headers),
        )
        work = self._answer_infer(exchange, question, request, tensors)
        self._path.later.answer(exchange, work, refuse)

    async def _answer_infer(
        self, exchange: Exchange, question: Question, request: InferRequest, tensors: list[Tensor]
    ) -> None:
        def read(variant: Variant) -> list[Values]:
            return read_rows(tensors, variant)

        rows = await self._path.predict_rows(exchange.authorization, question, read)
        failed = next((row for row in rows if row.answer is None), None)
        if failed is not None:
            raise failure_of(failed)
        answer_infer(exchange, question.model, request, rows)

    async def _answer_ready(self, exchange: Exchange, model: str, version: str) -> None:
        endpoint = find_endpoint(self._snapshot.table, model)
        if not await self._ready(endpoint, version):
            raise Refusal(503, "not_ready", "this model is not ready", retry_after=1)
        exchange.respond(200, msgspec.json.encode({"name": model, "ready": True}))

    def _key(self, exchange: Exchange, method: bytes = b"GET") -> Key:
        key = authenticate(self._snapshot.clients, exchange.authorization)
        _require_method(exchange, method)
        return key

    def _endpoint(self, key: Key, model: str) -> Endpoint:
        endpoint = find_endpoint(self._snapshot.table, model)
        require_endpoint(key, model)
        return endpoint

    def _described(self, exchange: Exchange, model: str, version: str) -> tuple[Endpoint, Variant]:
        endpoint = self._endpoint(self._key(exchange), model)
        return endpoint, describe.described(endpoint, version)


def _tell(exchange: Exchange, document: object) -> None:
    body, lines = coded(exchange, msgspec.json.encode(document))
    exchange.respond(200, body, headers=lines)


def is_here(path: bytes) -> bool:
    """Whether a path belongs to the protocol."""
    return path == b"/v2" or path.startswith(b"/v2/")


def refuse(exchange: Exchange, refusal: Refusal) -> None:
    """Answer with a problem that clients of the protocol can read."""
    body = msgspec.json.encode(refusal.problem(error=refusal.summary()))
    exchange.respond(refusal.status, body, content_type=PROBLEM_JSON, headers=refusal.headers())


def _segments(path: bytes) -> list[str]:
    """What follows /v2, each part unescaped by itself. Raises Refusal 404."""
    parts = path.strip(b"/").split(b"/")[1:]
    try:
        return [unquote_to_bytes(part).decode() for part in parts]
    except UnicodeDecodeError as error:
        raise Refusal(404, "not_found", "there is nothing here") from error


def _require_method(exchange: Exchange, method: bytes) -> None:
    if exchange.method != method and not (method == b"GET" and exchange.method == b"HEAD"):
        raise Refusal(405, "method_not_allowed", f"use {method.decode()}")


def _nothing_at(segments: Sequence[str]) -> Refusal:
    for name, detail in NOT_OFFERED.items():
        if name in segments:
            status = 406 if name == "generate_stream" else 403
            return Refusal(status, "not_offered", detail)
    return Refusal(404, "not_found", "there is nothing here")
