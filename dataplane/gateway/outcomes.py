"""POST /v1/outcomes: labels and business metrics, bound to the client that sends them."""

import math
import time
from datetime import datetime

import msgspec

from contracts.outcomes import Outcome
from dataplane.gateway.clients import Key
from dataplane.gateway.problems import FieldError, Refusal
from dataplane.gateway.units import UnitHasher

MAX_OUTCOMES = 1_000
MAX_TEXT = 256


class OutcomeIn(msgspec.Struct, forbid_unknown_fields=True):
    """One outcome as an application sends it; `timestamp` is epoch seconds or RFC 3339."""

    outcome_id: str
    metric: str
    value: float | str | bool
    timestamp: float | str
    prediction_id: str | None = None
    unit: str | int | None = None


class OutcomesIn(msgspec.Struct, forbid_unknown_fields=True):
    """The body."""

    outcomes: list[OutcomeIn]


_decode = msgspec.json.Decoder(OutcomesIn).decode


def decode_outcomes(body: bytes, *, key: Key, units: UnitHasher) -> list[Outcome]:
    """Read and check outcomes. Raises Refusal 400 or 422 with the JSON path of every fault."""
    now = time.time()
    given = _read(body)
    errors: list[FieldError] = []
    outcomes: list[Outcome] = []
    for number, each in enumerate(given):
        faults = _faults(each, f"$.outcomes[{number}]")
        errors += faults
        if not faults:
            outcomes.append(_outcome(each, key.client.name, units, now))
    if errors:
        raise _invalid(errors[:100])
    return outcomes


def _read(body: bytes) -> list[OutcomeIn]:
    try:
        given = _decode(body).outcomes
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `")
        raise _invalid([FieldError(path.rstrip("`") or "$", detail)]) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(400, "malformed_json", "the body is not JSON") from error
    if not 1 <= len(given) <= MAX_OUTCOMES:
        detail = f"must hold 1 to {MAX_OUTCOMES} outcomes"
        raise _invalid([FieldError("$.outcomes", detail)])
    return given


def _faults(given: OutcomeIn, path: str) -> list[FieldError]:
    texts = {
        "outcome_id": given.outcome_id,
        "metric": given.metric,
        "prediction_id": given.prediction_id or "-",
        "unit": "-" if given.unit is None else str(given.unit),
    }
    found = [
        FieldError(f"{path}.{name}", f"must have 1 to {MAX_TEXT} characters")
        for name, text in texts.items()
        if not 1 <= len(text) <= MAX_TEXT
    ]
    if (given.prediction_id is None) == (given.unit is None):
        found.append(FieldError(path, "needs either prediction_id or unit"))
    if isinstance(given.value, str) and len(given.value) > MAX_TEXT:
        found.append(FieldError(f"{path}.value", f"must have at most {MAX_TEXT} characters"))
    if _epoch(given.timestamp) is None:
        detail = "must be epoch seconds or an RFC 3339 time with its zone"
        found.append(FieldError(f"{path}.timestamp", detail))
    return found


def _epoch(timestamp: float | str) -> float | None:
    if not isinstance(timestamp, str):
        return float(timestamp) if math.isfinite(timestamp) and timestamp >= 0 else None
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def _outcome(given: OutcomeIn, client: str, units: UnitHasher, now: float) -> Outcome:
    value = float(given.value) if isinstance(given.value, bool) else given.value
    return Outcome(
        outcome_id=given.outcome_id,
        metric=given.metric,
        value=value,
        at=_epoch(given.timestamp) or 0.0,
        received_at=now,
        prediction_id=given.prediction_id or "",
        unit="" if given.unit is None else units.digest(str(given.unit)).hex(),
        client=client,
    )


def _invalid(errors: list[FieldError]) -> Refusal:
    return Refusal(422, "invalid_outcomes", f"{len(errors)} fault(s)", errors=errors)
