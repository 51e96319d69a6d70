"""What clients send stays out of logs, figures and, where the schema says so, the spool."""

import json
import struct
from typing import Any

import tritonclient.grpc as triton
from msgspec.structs import replace
from tritonclient.utils import InferenceServerException

from benchmarks import rig
from contracts.routing import EndpointSpec, Guardrail
from contracts.schema import FeatureSpec
from tests.dataplane.gateway.site import Site, eventually
from tests.dataplane.gateway.test_oip import AUTHORIZED, infer, inputs

MARK = "marked-7c1f"
NUMBER = 31415.9265
TRACES = (
    MARK.encode(),
    str(NUMBER).encode(),
    *(struct.pack(order + kind, NUMBER) for order in "<>" for kind in "fd"),
)


def private(feature: FeatureSpec) -> FeatureSpec:
    """Numbers are hashed, text is dropped; any text will do, and none."""
    if feature.kind == "float":
        return replace(feature, pii="hash")
    return replace(feature, pii="drop", categories=None, required=False, default=feature.default)


def endpoint(site: Site) -> EndpointSpec:
    """The rig's endpoint in the middle of a ramp, with every feature private and recorded."""
    features = tuple(map(private, rig.SCHEMA.features))
    text = next(each for each in features if each.kind == "string")
    features = tuple(replace(each, default="AA") if each is text else each for each in features)
    spec = site.canary(
        guardrails=(Guardrail(rollout="r1", candidate="canary", baseline="stable"),),
        sample_rate=1.0,
    )
    schema = replace(rig.SCHEMA, features=features)
    variants = tuple(replace(each, schema=schema) for each in spec.variants)
    return replace(spec, variants=variants)


def predict(site: Site, **changes: Any) -> int:
    features = {**rig.example(), "carrier": MARK, "x0": NUMBER, **changes}
    return site.post("/v1/predict", {"model": "rig", "user_id": MARK, "features": features}).status


def open_inference(site: Site, code: int) -> int:
    numeric = {"name": "numeric", "shape": [1, 8], "datatype": "FP32", "data": [NUMBER] * 8}
    codes = {"name": "code", "shape": [1, 1], "datatype": "INT64", "data": [code]}
    return site.post("/v2/models/rig/infer", {"inputs": [numeric, codes]}).status


def grpc(site: Site, code: int) -> None:
    with triton.InferenceServerClient(site.environment["GATEWAY_GRPC_URL"]) as client:
        try:
            infer(client, inputs(code=code, value=NUMBER), headers=AUTHORIZED)
        except InferenceServerException:
            assert code == 99


def test_values__sent_by_every_way_and_failing_in_every_way__are_nowhere(site: Site) -> None:
    site.serve(endpoint(site))
    assert [predict(site), predict(site, code=99), predict(site, x1=MARK)] == [200, 502, 422]
    assert predict(site, unknown=MARK) == 422
    assert site.post("/v1/predict", f'{{"model": "rig", "features": {MARK}'.encode()).status == 400
    assert [open_inference(site, code) for code in (1, 99)] == [200, 502]
    for code in (1, 99):
        grpc(site, code)
    outcome = {"outcome_id": "o1", "metric": "late", "value": 1, "timestamp": 1.0, "unit": MARK}
    assert site.post("/v1/outcomes", {"outcomes": [outcome]}).status == 202
    eventually(lambda: site.report() is not None)
    metrics = site.get("/metrics").body
    site.stop()
    spool = b"".join(path.read_bytes() for path in (site.state / "spool").rglob("*.seg"))
    assert b"carrier" not in spool
    assert b"x0" in spool
    for said in (spool, metrics, site.log().encode()):
        assert [trace for trace in TRACES if trace in said] == []
    records = [record for batch in site.batches() for record in batch.records]
    assert len(records) == 6
    assert not any(MARK in json.dumps(record.features) for record in records)
