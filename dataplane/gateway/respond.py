"""Step 6 of the request path: the answer as JSON, or as a problem."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import msgspec

from contracts.records import ErrorKind
from dataplane.gateway.http import Exchange
from dataplane.gateway.problems import PROBLEM_JSON, Refusal
from dataplane.gateway.row import Row
from serving.labels import Answer

_FAILURES: Mapping[ErrorKind, tuple[int, str, int]] = {
    "model": (502, "the model failed on this request", 0),
    "timeout": (504, "the model did not answer in time", 0),
    "invalid_output": (502, "the model's output is not a valid prediction", 0),
    "unavailable": (503, "the model's server cannot be reached", 1),
    "overload": (503, "the request waited past its deadline", 1),
    "internal": (500, "the gateway failed on this request", 0),
}
_BY_THE_MODEL = b'"cache_hit":false,"fallback":null'


Refuse = Callable[[Exchange, Refusal], None]


def deliver(row: Row) -> None:
    """Answer the HTTP request behind a settled row."""
    exchange, answer = row.exchange, row.answer
    if exchange is None:
        return
    if answer is None:
        refuse(exchange, failure_of(row))
    else:
        exchange.ok(_prediction(row, answer))


def deliver_list(exchange: Exchange, rows: Sequence[Row]) -> None:
    """Answer a list of instances: each has its prediction, or alone its problem.

    Where none has a prediction the request has failed, in the way that its first row has.
    """
    failed = sum(row.answer is None for row in rows)
    if failed == len(rows):
        refuse(exchange, failure_of(rows[0]))
        return
    predictions = b",".join(
        _failed(row) if row.answer is None else _prediction(row, row.answer) for row in rows
    )
    latency_ms = max(row.latency_ms for row in rows)
    exchange.ok(
        b'{"predictions":[%b],"failed":%d,"latency_ms":%.3f,"generation":%d}'
        % (predictions, failed, latency_ms, rows[0].generation)
    )


def _failed(row: Row) -> bytes:
    problem = failure_of(row).body()
    return b'{"prediction_id":"%b","problem":%b}' % (row.prediction_id.encode(), problem)


def _prediction(row: Row, answer: Answer) -> bytes:
    confidence = b"null" if answer.confidence is None else b"%.9g" % answer.confidence
    return (
        b'{"prediction_id":"%b","prediction":%.9g,"label":%b,"confidence":%b,"latency_ms":%.3f,'
        b'"model_version":%b,"variant":%b,"generation":%d,%b}'
        % (
            row.prediction_id.encode(),
            answer.score,
            quoted(answer.label),
            confidence,
            row.latency_ms,
            b"null" if row.fallback == "default" else quoted(row.asked.label),
            b"null" if row.fallback == "default" else quoted(row.asked.key),
            row.generation,
            _instead(row) if row.fallback or row.cache_hit or row.route else _BY_THE_MODEL,
        )
    )


def _instead(row: Row) -> bytes:
    """Which cache or fallback answered instead of the model, or which rule chose the endpoint.

    A default has no version.
    """
    hit = b"true" if row.cache_hit else b"false"
    return b'"cache_hit":%b,"fallback":%b%b' % (
        hit,
        quoted(row.fallback) if row.fallback else b"null",
        row.route.json if row.route else b"",
    )


def failure_of(row: Row) -> Refusal:
    """What a row that failed is answered with. Triton's words stay inside: they may hold values."""
    if row.refusal is not None:
        return row.refusal
    kind: ErrorKind = row.error or "internal"
    status, detail, retry_after = _FAILURES[kind]
    return Refusal(
        status,
        f"prediction_failed_{kind}",
        detail,
        endpoint=row.variant.endpoint,
        retry_after=retry_after,
    )


def refuse(exchange: Exchange, refusal: Refusal) -> None:
    """Answer with a problem."""
    exchange.respond(
        refusal.status, refusal.body(), content_type=PROBLEM_JSON, headers=refusal.headers()
    )


@lru_cache(maxsize=4_096)
def quoted(text: str) -> bytes:
    """A JSON string; labels and version names repeat."""
    return msgspec.json.encode(text)
