"""POST /v1/explain: what each feature contributed to the answer that this unit gets.

authenticate -> decode -> assign -> validate, as for a prediction; then a queue, a deadline and an
entry of its own on Triton. The batchers of predictions never see any of it.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import structlog

from dataplane.gateway import errors
from dataplane.gateway.batching import Prepare
from dataplane.gateway.decode import (
    PredictRequest,
    decode_features,
    decode_instances,
    decode_request,
)
from dataplane.gateway.endpoint import PredictPath, Question
from dataplane.gateway.errors import TritonError
from dataplane.gateway.http import Exchange
from dataplane.gateway.inference import Form, Input, Outputs, Request
from dataplane.gateway.metrics import Metrics
from dataplane.gateway.problems import Problem, Refusal, at
from dataplane.gateway.replicas import Channels, Replica
from dataplane.gateway.respond import refuse
from dataplane.gateway.row import Row
from dataplane.gateway.table import Variant
from dataplane.triton.explainer import CLASS_INPUT, METHOD, NOT_ADDITIVE, OUTPUTS
from serving.attribution import attributions

log = structlog.get_logger()

CLASS_FIELD = "class"
PREDICTED = -1
LATER_S = 5
_envelope = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Found(NamedTuple):
    """What an explainer answered; `explained` is the class, -1 for regression."""

    contributions: Sequence[float]
    base_value: float
    prediction: float
    explained: int


class Explanation(msgspec.Struct, frozen=True):
    """The answer. `base_value` + all `contributions` = `prediction`, which is of `output`."""

    model: str
    model_version: str
    variant: str
    output: str
    prediction: float
    base_value: float
    contributions: dict[str, float]
    method: str
    generation: int
    latency_ms: float


class Failed(msgspec.Struct, frozen=True):
    """An instance that could not be explained."""

    problem: Problem


class Explanations(msgspec.Struct, frozen=True):
    """The answer to a list of instances: each has its explanation, or alone its problem."""

    explanations: list[Explanation | Failed]
    failed: int
    generation: int
    latency_ms: float


class Explainer:
    """One version's explainer: one call at a time per Triton, a few that wait, the rest refused.

    A list takes one place and explains its rows one after the other, letting others in between.
    """

    def __init__(
        self, variant: Variant, replicas: Sequence[Replica], prepare: Prepare | None
    ) -> None:
        self._variant = variant
        self._replicas = replicas
        self._prepare = prepare
        self._turns = asyncio.Semaphore(len(replicas))
        self._inside = 0
        self.names = tuple(each.name for each in attributions(variant.spec.schema))
        tensors = variant.spec.schema.tensors
        inputs = [Input(each.name, each.datatype, (1, len(each.features))) for each in tensors]
        inputs.append(Input(CLASS_INPUT, "INT64", (1, 1)))
        self._form = Form(variant.spec.explainer, inputs, OUTPUTS)

    async def ask(self, rows: Sequence[Row], index: int, ends: float) -> list[Found | Refusal]:
        """The explanation of class `index` of each row, by `ends` (event loop's time).

        Raises Refusal 429 when too many wait.
        """
        limits = self._variant.limits
        if self._inside >= len(self._replicas) + limits.explain_queue:
            raise Refusal(
                429,
                "overload",
                "too many explanations are being made for this model",
                endpoint=self._variant.endpoint,
                retry_after=1,
            )
        self._inside += 1
        try:
            if self._prepare is not None:
                await self._prepare(rows)
            return [await self._one(row, index, ends) for row in rows]
        finally:
            self._inside -= 1

    async def _one(self, row: Row, index: int, ends: float) -> Found | Refusal:
        """What becomes of one row."""
        try:
            async with asyncio.timeout_at(ends), self._turns:
                return _found(await self._call(self._request(row, index), ends))
        except TimeoutError:
            return _too_late(self._variant)
        except TritonError as error:
            return _failed(self._variant, error)

    async def _call(self, request: Request, ends: float) -> Outputs:
        """The reply of the first Triton that can be reached, those that serve first."""
        failure = TritonError(errors.UNAVAILABLE, "no Triton explains this version")
        for replica in sorted(self._replicas, key=_out):
            try:
                seconds = ends - asyncio.get_running_loop().time()
                return await replica.infer(request, 0, seconds)
            except TritonError as error:
                if error.status != errors.UNAVAILABLE:
                    raise
                failure = error
        raise failure

    def _request(self, row: Row, index: int) -> Request:
        tensors = self._variant.schema.pack([row.values])
        return Request(self._form, [*tensors, index.to_bytes(8, "little", signed=True)])


class ExplainPath:
    """Takes requests in; each is a task of its own.

    `preparing` gives what completes a variant's rows, as for predictions.
    """

    def __init__(self, *, path: PredictPath, metrics: Metrics) -> None:
        self._path = path
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._explainers: dict[Variant, Explainer] = {}
        self.channels: Channels
        self.preparing: Callable[[Variant], Prepare | None] = _as_it_is

    def explain(self, exchange: Exchange) -> None:
        """POST /v1/explain."""
        task = asyncio.get_running_loop().create_task(self._answer(exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def keep_only(self, variants: set[Variant]) -> None:
        """Forget what no table mentions any more; explanations under way finish on their own."""
        self._explainers = {v: e for v, e in self._explainers.items() if v in variants}

    async def _answer(self, exchange: Exchange) -> None:
        try:
            answer = await self._explained(exchange)
        except Refusal as refusal:
            self._metrics.explained(refusal.endpoint, refusal.reason)
            refuse(exchange, refusal)
        except Exception:  # the task's edge: one request fails, the process lives
            log.exception("explanation.failed")
            self._metrics.explained("", "internal")
            refuse(exchange, Refusal(500, "internal", "the gateway failed on this request"))
        else:
            exchange.ok(msgspec.json.encode(answer))

    async def _explained(self, exchange: Exchange) -> msgspec.Struct:
        """Raises Refusal, also for a list of which nothing could be explained."""
        key = self._path.admit(exchange.authorization)
        request, asked = decode_explain(exchange.body)
        question = Question(
            request.model,
            request.user_id,
            request.version,
            size=len(exchange.body),
            features=request.features,
        )
        row = self._path.assigned(key, question, exchange.started)
        variant = row.variant
        require_explainer(variant)
        if request.instances:
            rows = [
                self._path.another(row, values) for values in decode_instances(request, variant)
            ]
        else:
            row.values = decode_features(request, variant)
            rows = [row]
        self._path.charge(key, len(rows) - 1)
        index = class_of(variant, asked)
        ends = asyncio.get_running_loop().time() + variant.limits.explain_deadline_ms / 1_000
        explainer = self._explainer(variant)
        found = await explainer.ask(rows, index, ends)
        refused = [each for each in found if isinstance(each, Refusal)]
        if len(refused) == len(rows):
            raise refused[0]
        made = [self._made(*pair, explainer) for pair in zip(rows, found, strict=True)]
        return _together(made, row) if request.instances else made[0]

    def _made(self, row: Row, found: Found | Refusal, explainer: Explainer) -> Explanation | Failed:
        """One row's part of the answer, counted."""
        if isinstance(found, Refusal):
            self._metrics.explained(found.endpoint, found.reason)
            return Failed(found.problem())
        explanation = explanation_of(row, explainer.names, found)
        self._metrics.explained(explanation.model, "ok", explanation.latency_ms)
        return explanation

    def _explainer(self, variant: Variant) -> Explainer:
        explainer = self._explainers.get(variant)
        if explainer is None:
            spec = variant.spec
            replicas = self.channels.replicas_of(spec.explainer, spec.addresses)
            prepare = self.preparing(variant)
            explainer = self._explainers[variant] = Explainer(variant, replicas, prepare)
        return explainer


def decode_explain(body: bytes) -> tuple[PredictRequest, str | int | None]:
    """The envelope of a prediction, and the class asked for. Raises Refusal 400 or 422."""
    try:
        envelope = _envelope(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return decode_request(body), None
    raw = envelope.pop(CLASS_FIELD, None)
    request = decode_request(msgspec.json.encode(envelope))
    if raw is None:
        return request, None
    try:
        return request, msgspec.json.decode(raw, type=int | str | None)
    except (msgspec.DecodeError, ValueError) as error:
        raise _class_fault("must be a label or the number of a class", "") from error


def require_explainer(variant: Variant) -> None:
    """Raise Refusal 409 for a variant that cannot be explained."""
    if variant.spec.ensemble is not None:
        reason = "its answer combines several models; pin one of their versions"
    elif not variant.spec.explainer:
        reason = "no background sample was logged with it, or its explainer is not loaded"
    else:
        return
    raise Refusal(
        409,
        "no_explainer",
        f"version {variant.label} cannot be explained: {reason}",
        endpoint=variant.endpoint,
    )


def class_of(variant: Variant, asked: str | int | None) -> int:
    """The class to explain, by label or number; PREDICTED when none was asked for.

    Raises Refusal 422.
    """
    output = variant.spec.schema.output
    if asked is None:
        return PREDICTED
    if output.kind == "regression":
        raise _class_fault("a regression has no classes", variant.endpoint)
    classes = range(2 if output.kind == "binary" else output.width)
    names = {variant.labeller.label_of(index): index for index in classes}
    index = names.get(str(asked), next((each for each in classes if str(each) == str(asked)), -1))
    if index < 0:
        raise _class_fault(f"is none of {', '.join(names)}", variant.endpoint)
    return index


def explanation_of(row: Row, names: Sequence[str], found: Found) -> Explanation:
    """The answer, the largest contributions first; features that the model ignores give 0."""
    variant = row.variant
    values = dict(zip(names, found.contributions, strict=True))
    known = {feature for name in names for feature in name.split(" + ")}
    unused = [each for each in variant.schema.names if each not in known]
    return Explanation(
        model=variant.endpoint,
        model_version=variant.label,
        variant=variant.key,
        output=_output(variant, found.explained),
        prediction=found.prediction,
        base_value=found.base_value,
        contributions=_largest_first({**values, **dict.fromkeys(unused, 0.0)}),
        method=METHOD,
        generation=row.generation,
        latency_ms=round((time.perf_counter() - row.started) * 1_000, 3),
    )


def _together(made: list[Explanation | Failed], row: Row) -> Explanations:
    failed = sum(isinstance(each, Failed) for each in made)
    latency_ms = round((time.perf_counter() - row.started) * 1_000, 3)
    return Explanations(made, failed, row.generation, latency_ms)


def _as_it_is(_: Variant) -> None:
    """Rows are complete."""


def _largest_first(values: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda item: -abs(item[1])))


def _output(variant: Variant, index: int) -> str:
    return "value" if index < 0 else f"probability of {variant.labeller.label_of(index)}"


def _found(raw: Outputs) -> Found:
    floats = {name: array("d", raw[name]) for name in OUTPUTS[:3]}
    return Found(
        contributions=floats["contributions"].tolist(),
        base_value=floats["base_value"][0],
        prediction=floats["prediction"][0],
        explained=int.from_bytes(raw[CLASS_INPUT], "little", signed=True),
    )


def _out(replica: Replica) -> bool:
    return replica.health.state != "serving"


def _class_fault(detail: str, endpoint: str) -> Refusal:
    errors = at(f"$.{CLASS_FIELD}", detail)
    return Refusal(422, "invalid_request", "1 field does not fit", errors=errors, endpoint=endpoint)


def _too_late(variant: Variant) -> Refusal:
    return Refusal(
        504,
        "explanation_timeout",
        "the explanation was not made in time",
        endpoint=variant.endpoint,
        retry_after=LATER_S,
    )


def _failed(variant: Variant, error: TritonError) -> Refusal:
    """Triton's words stay inside: they may hold values."""
    if error.status == errors.DEADLINE_EXCEEDED:
        return _too_late(variant)
    if error.status == errors.UNAVAILABLE:
        detail = "the explainer cannot be reached"
        return Refusal(
            503, "explainer_unavailable", detail, endpoint=variant.endpoint, retry_after=1
        )
    if NOT_ADDITIVE in error.detail:
        detail = "base value and contributions do not add up to the prediction"
        return Refusal(502, "explanation_not_additive", detail, endpoint=variant.endpoint)
    detail = "the explainer failed on this request"
    return Refusal(502, "explanation_failed", detail, endpoint=variant.endpoint)
