"""Batches as a gateway would seal them, small and explicit."""

import itertools
from collections.abc import Iterable
from typing import Any

import redis

from apps.monitoring.ingest.batches import Envelope
from contracts.outcomes import Outcome
from contracts.records import (
    ENVELOPE_FIELD,
    OLDEST_FIELD,
    STREAM_PREFIX,
    STREAMS_KEY,
    Batch,
    Counter,
    Exposure,
    Failure,
    Record,
    encode_batch,
)
from serving.sketches import Sketch

AT = 1_750_000_000.0  # 2025-06-15T15:06:40Z
GATEWAY, BOOT = "gateway-1", "boot-1"
_numbers = itertools.count(1)


def counter(latencies: Iterable[float] = (), **values: Any) -> Counter:
    """A counter of one second; `latencies` in ms fill its sketch."""
    fields: dict[str, Any] = {
        "second": int(AT),
        "endpoint": "flights",
        "version": "flights/2",
        "variant": "canary",
        "phase": 1,
        "requests": 1,
        "latency": Sketch.of(latencies).bins,
    }
    return Counter(**fields | values)


def exposure(unit: str, **values: Any) -> Exposure:
    fields: dict[str, Any] = {
        "at": AT,
        "endpoint": "flights",
        "phase": 1,
        "unit": unit,
        "variant": "canary",
        "version": "flights/2",
    }
    return Exposure(**fields | values)


def failure(unit: str, **values: Any) -> Failure:
    fields: dict[str, Any] = {
        "at": AT,
        "endpoint": "flights",
        "rollout": "rollout:1",
        "phase": 1,
        "unit": unit,
        "variant": "canary",
        "version": "flights/2",
        "kind": "model",
        "share": 0.05,
    }
    return Failure(**fields | values)


def record(prediction_id: str = "", **values: Any) -> Record:
    fields: dict[str, Any] = {
        "at": AT,
        "prediction_id": prediction_id or f"p{next(_numbers)}",
        "endpoint": "flights",
        "version": "flights/2",
        "variant": "canary",
        "phase": 1,
        "generation": 7,
        "client": "app",
        "unit": "u1",
        "features": {"carrier": "UA", "distance": 500, "delayed": None},
        "prediction": 0.7,
        "label": "late",
        "confidence": 0.7,
        "latency_ms": 3.5,
        "status": "ok",
    }
    return Record(**fields | values)


def outcome(prediction_id: str = "", **values: Any) -> Outcome:
    """The true label of a prediction, unless `values` say otherwise."""
    fields: dict[str, Any] = {
        "outcome_id": f"o{next(_numbers)}",
        "metric": "label",
        "value": "late",
        "at": AT + 60,
        "received_at": AT + 61,
        "prediction_id": prediction_id,
        "client": "app",
    }
    return Outcome(**fields | values)


def batch(seq: int = 1, **values: Any) -> Batch:
    fields: dict[str, Any] = {"gateway": GATEWAY, "boot": BOOT, "seq": seq, "sealed_at": AT + 1}
    return Batch(**fields | values)


def envelope(sealed: Batch) -> Envelope:
    return Envelope(sealed, encode_batch(sealed))


def send(client: "redis.Redis", *batches: Batch, oldest: int = 0) -> None:
    """Put batches on their gateway's stream, as the recorder does; `oldest` 0: it says nothing."""
    for sealed in batches:
        send_bytes(client, encode_batch(sealed), gateway=sealed.gateway, oldest=oldest)


def send_bytes(
    client: "redis.Redis", body: bytes, *, gateway: str = GATEWAY, oldest: int = 0
) -> None:
    """Put any bytes on a gateway's stream."""
    stream = STREAM_PREFIX + gateway
    client.sadd(STREAMS_KEY, stream)
    client.xadd(stream, {ENVELOPE_FIELD: body, **({OLDEST_FIELD: oldest} if oldest else {})})
