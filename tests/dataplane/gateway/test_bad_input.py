"""Bad input gets a problem that names the field, is no prediction, and harms nobody."""

import json
import time
from typing import Any

import pytest

from benchmarks import rig
from tests.dataplane.gateway.site import Site, eventually


def body(**changes: Any) -> dict[str, Any]:
    return {"model": "rig", "features": rig.example(), "user_id": "u1", **changes}


def features(**changes: Any) -> dict[str, Any]:
    return body(features=rig.example(**changes))


def without(name: str) -> dict[str, Any]:
    return body(features={key: value for key, value in rig.example().items() if key != name})


SEGMENT_S = 0.6
CASES = {
    "wrong type": (features(x1="high"), 422, "$.features.x1"),
    "boolean for number": (features(x1=True), 422, "$.features.x1"),
    "fraction for integer": (features(code=1.5), 422, "$.features.code"),
    "null": (features(x2=None), 422, "$.features.x2"),
    "missing": (without("x3"), 422, "$.features.x3"),
    "unknown": (features(extra=1), 422, "$.features.extra"),
    "out of range": (features(x4=1e9), 422, "$.features.x4"),
    "category": (features(carrier="ZZ"), 422, "$.features.carrier"),
    "NaN": (b'{"model":"rig","features":{"x0":NaN}}', 422, "$.features.x0"),
    "infinity": (json.dumps(features(x5=float("inf"))).encode(), 422, "$.features.x5"),
    "number too large": (
        json.dumps(features(x6=1)).replace('"x6": 1', '"x6": 1e999').encode(),
        422,
        "$.features.x6",
    ),
    "features no object": (body(features=[1, 2]), 422, "$.features"),
    "no features": ({"model": "rig"}, 422, "$.features"),
    "no model": ({"features": {}}, 422, "$.model"),
    "unknown field": (body(modle="rig"), 422, "$.modle"),
    "user is an object": (body(user_id={}), 422, "$.user_id"),
    "user too long": (body(user_id="u" * 300), 422, "$.user_id"),
    "body no object": ([1], 422, "$"),
    "unknown model": (body(model="nope"), 404, "$.model"),
    "unknown version": (body(version="9.9.9"), 404, "$.version"),
    "malformed": (b'{"model": "rig", ', 400, None),
    "not UTF-8": (b'{"model": "\xff\xfe"}', 400, None),
    "nested for ever": (b"[" * 100_000, 400, None),
    "empty": (b"", 400, None),
    "too large": (b"x" * 2_000_000, 413, None),
}


@pytest.mark.parametrize("case", CASES)
def test_predict__bad_input__names_the_field_and_the_process_lives(served: Site, case: str) -> None:
    data, status, path = CASES[case]
    reply = served.post("/v1/predict", data)
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json()["status"] == status
    if path:
        assert path in reply.paths()
    assert served.predict().status == 200


def test_predict__several_faults__lists_every_one(served: Site) -> None:
    reply = served.post("/v1/predict", features(x0="a", x1=None, carrier="ZZ", what=1))
    assert reply.paths() == [f"$.features.{name}" for name in ("x0", "x1", "carrier", "what")]


@pytest.mark.parametrize("key", ["", "wrong"])
def test_predict__without_a_known_token__is_401(served: Site, key: str) -> None:
    reply = served.post("/v1/predict", body(), key=key)
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


def test_predict__endpoint_not_allowed_for_the_client__is_403(served: Site) -> None:
    assert served.post("/v1/predict", body(), key="k2").status == 403


def test_http__unknown_path_and_wrong_method__are_problems(served: Site) -> None:
    assert served.get("/v1/nothing").status == 404
    assert served.get("/v1/predict").status == 405


def test_bad_input__any__is_counted_as_rejected_and_never_as_a_prediction(served: Site) -> None:
    time.sleep(SEGMENT_S)  # whatever other tests asked for is shipped by now
    good, refused = served.requests_counted(), rejected(served)
    for data, _, _ in CASES.values():
        served.post("/v1/predict", data)
    eventually(lambda: rejected(served) == refused + len(CASES))
    assert served.requests_counted() == good
    reasons = {each.reason for batch in served.batches() for each in batch.rejected}
    assert {"feature_type", "feature_missing", "malformed_json", "too_large"} <= reasons


def rejected(site: Site) -> int:
    return sum(each.count for batch in site.batches() for each in batch.rejected)
