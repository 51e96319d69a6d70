"""Step 2 of the request path: from bytes to a typed request, or to a problem naming each fault."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from dataplane.gateway.problems import FieldError, Refusal, at
from dataplane.gateway.table import Endpoint, Table, Variant
from serving.validation import InvalidFeatures, MalformedJson, Row, parse_json

MAX_ID = 256
MAX_ROWS = 256
MAX_LISTED = 1_000
FIELDS = ("model", "features", "instances", "user_id", "version")
_ABSENT = msgspec.Raw(b"")


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The envelope; features stay raw until the variant, and so the schema, is known.

    Either `features` of one row or `instances`, a list of such rows; the other is empty.
    """

    model: str
    features: msgspec.Raw = _ABSENT
    instances: msgspec.Raw = _ABSENT
    user_id: str | int | None = None
    version: str | int | None = None


_decode = msgspec.json.Decoder(PredictRequest).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode_request(body: bytes) -> PredictRequest:
    """Read the envelope. Raises Refusal 400 for what is not JSON, 422 for what does not fit."""
    try:
        request = _decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        request = _decode_slowly(body)
    if request.instances or not request.features:
        _require_one_form(request)
    if isinstance(request.user_id, str) and len(request.user_id) > MAX_ID:
        raise _invalid([FieldError("$.user_id", f"must have at most {MAX_ID} characters")], "")
    return request


def find_endpoint(table: Table, name: str) -> Endpoint:
    """The endpoint with this name. Raises Refusal 404, or 503 while there is no table at all."""
    endpoint = table.endpoints.get(name)
    if endpoint is not None:
        return endpoint
    if table.source == "none":
        raise Refusal(503, "not_ready", "no routing table is loaded yet", retry_after=1)
    raise Refusal(
        404, "unknown_model", "there is no such model", errors=at("$.model", "is not known")
    )


def decode_features(request: PredictRequest, variant: Variant) -> Row:
    """Read the features by the variant's schema. Raises Refusal 422 with every fault."""
    try:
        return variant.schema.decode(request.features)
    except InvalidFeatures as error:
        raise invalid_features(error, variant.endpoint) from error
    except MalformedJson as error:
        raise _malformed() from error


def decode_instances(request: PredictRequest, variant: Variant) -> list[Row]:
    """Read all instances by the variant's schema. Raises Refusal 422 with every row's faults."""
    try:
        rows = variant.schema.decode_rows(request.instances)
    except InvalidFeatures as error:
        raise invalid_features(error, variant.endpoint) from error
    except MalformedJson as error:
        raise _malformed() from error
    return rows


def invalid_features(error: InvalidFeatures, endpoint: str) -> Refusal:
    """The problem for features that do not fit; a fault of several rows' is counted for each."""
    faults = error.faults
    found = dict.fromkeys(FieldError(fault.path, fault.detail) for fault in faults)
    refusal = _invalid(list(found), endpoint)
    refusal.reason = f"feature_{faults[0].kind}"
    refusal.feature = faults[0].feature
    refusal.faults = Counter((fault.kind, fault.feature) for fault in faults)
    return refusal


def _require_one_form(request: PredictRequest) -> None:
    """Refusal 422 unless there is either one row or a list of as many as are allowed."""
    if not request.instances:
        raise _invalid([FieldError("$.features", "is required, or else $.instances")], "")
    if request.features:
        raise _invalid([FieldError("$.instances", "must not stand beside $.features")], "")
    try:
        rows: object = _decode_list(request.instances)
    except (msgspec.DecodeError, ValueError, RecursionError):
        rows = parse_json(bytes(request.instances))  # NaN is found where it stands, later
    if not isinstance(rows, list):
        raise _invalid([FieldError("$.instances", "must be an array")], "")
    if not 1 <= len(rows) <= MAX_ROWS:
        raise _invalid([FieldError("$.instances", f"must hold 1 to {MAX_ROWS} rows")], "")


def _decode_slowly(body: bytes) -> PredictRequest:
    """What the fast decoder refused, read again to say why.

    Python's reader takes NaN and Infinity, which JSON does not have, so that the fault is
    reported for the feature that carries it.
    """
    try:
        value = parse_json(body)
    except MalformedJson as error:
        raise _malformed() from error
    errors = _envelope_errors(value)
    if errors:
        raise _invalid(errors, "")
    features, instances = (
        msgspec.Raw(json.dumps(value[name]).encode()) if name in value else _ABSENT
        for name in ("features", "instances")
    )
    user_id, version = value.get("user_id"), value.get("version")
    return PredictRequest(value["model"], features, instances, user_id, version)


def _envelope_errors(value: Any) -> list[FieldError]:
    if not isinstance(value, dict):
        return [FieldError("$", "must be an object")]
    errors = [] if "model" in value else [FieldError("$.model", "is required")]
    if "features" not in value and "instances" not in value:
        errors.append(FieldError("$.features", "is required, or else $.instances"))
    if not isinstance(value.get("model", ""), str):
        errors.append(FieldError("$.model", "must be text"))
    for name in ("user_id", "version"):
        if not _is_identifier(value.get(name)):
            errors.append(FieldError(f"$.{name}", "must be text or an integer"))
    unknown = [str(name)[:100] for name in value if name not in FIELDS][:100]
    return errors + [FieldError(f"$.{name}", "is not a field of a request") for name in unknown]


def _is_identifier(value: object) -> bool:
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _invalid(errors: Sequence[FieldError], endpoint: str) -> Refusal:
    detail = f"{len(errors)} field{'s do' if len(errors) > 1 else ' does'} not fit"
    if len(errors) > MAX_LISTED:
        detail += f"; the first {MAX_LISTED} are listed"
    return Refusal(422, "invalid_request", detail, errors=errors[:MAX_LISTED], endpoint=endpoint)


def _malformed() -> Refusal:
    return Refusal(400, "malformed_json", "the body is not JSON")
