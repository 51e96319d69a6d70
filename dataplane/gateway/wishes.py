"""What a request of the Open Inference Protocol asks for beside its tensors."""

from collections.abc import Iterable, Mapping

from dataplane.gateway.decode import MAX_ID
from dataplane.gateway.limits import client_timeout
from dataplane.gateway.problems import Refusal, at
from dataplane.gateway.row import Row

_NOT_OFFERED = {
    "shared_memory_region": "shared memory is not offered: send tensors in the request",
    "classification": "classification is not offered: read the output `label`",
    "sequence_id": "sequences are not offered: each request stands by itself",
}


def require_plain(names: Iterable[str]) -> None:
    """Raise Refusal 422 for parameters that would change what an answer means."""
    for name, detail in _NOT_OFFERED.items():
        if name in names:
            raise Refusal(422, "not_offered", detail, errors=at(f"$.parameters.{name}", detail))


def unit_of(parameters: Mapping[str, object], header: str) -> str | int | None:
    """The unit: the parameter `user_id`, else the header. Raises Refusal 422."""
    unit = parameters.get("user_id", header or None)
    if unit is None or (isinstance(unit, str | int) and not isinstance(unit, bool)):
        if len(str(unit)) <= MAX_ID:
            return unit
        detail = f"must have at most {MAX_ID} characters"
    else:
        detail = "must be text or an integer"
    path = "$.parameters.user_id"
    raise Refusal(422, "invalid_request", "1 field does not fit", errors=at(path, detail))


def timeout_of(parameters: Mapping[str, object], headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds that the client will wait: the parameter `timeout` in microseconds, or the header.

    Raises Refusal 400 or 422.
    """
    timeout = parameters.get("timeout")
    if timeout is None:
        return client_timeout(headers)
    if not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 1:
        detail = "must be a positive number of microseconds"
        errors = at("$.parameters.timeout", detail)
        raise Refusal(422, "invalid_request", "1 field does not fit", errors=errors)
    return timeout / 1e6


def answer_parameters(row: Row) -> dict[str, str | int]:
    """What an answer says of its first row, and so of who gave it."""
    said: dict[str, str | int] = {
        "prediction_id": row.prediction_id,
        "variant": row.asked.key,
        "generation": row.generation,
    }
    if row.answer is not None:
        said["label"] = row.answer.label
    if row.fallback:
        said["fallback"] = row.fallback
    if row.route is not None:
        said["route"] = row.route.rule
    return said
