"""What is answered when the variant assigned cannot: stale, another variant, a default, or 503."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from benchmarks import rig
from contracts.policy import Breaker, Cache, DefaultPrediction, Fallback, Policy
from contracts.records import Counter, Record
from contracts.routing import EndpointSpec, Guardrail, Limits
from contracts.schema import ModelSchema
from tests.dataplane.gateway.site import Site, eventually

AWAY = "127.0.0.1:9"
DEFAULT = DefaultPrediction(prediction=0.1, label="on_time")
FRAGILE, RAISING = 3, 5  # version 3 raises on code 5, the others do not
QUICK = Breaker(minimum=5, open_s=0.2, probes=2)


@pytest.fixture(scope="module")
def fragile(served: Site) -> Site:
    """The module's gateway, with a third version of which some codes are too much."""
    rig.install_model(served.environment, FRAGILE, bias=float(FRAGILE), codes=2)
    return served


def spec(
    site: Site, address: str = AWAY, policy: Policy | None = None, **more: Any
) -> EndpointSpec:
    """Version 1 at `address`, and version 2 in reserve where the real Triton is."""
    variants = [
        rig.variant(1, address),
        rig.variant(2, site.triton, key="reserve", role="fallback"),
    ]
    policy = policy or Policy(breaker=None)
    return rig.endpoint(variants, policy=policy, sample_rate=1.0, **more)


def chain(breaker: Breaker | None = None, **steps: Any) -> Policy:
    return Policy(breaker=breaker, fallback=Fallback(**steps))


def facts(site: Site, phase: int) -> tuple[Counter, list[Record]]:
    """The counter of the one second in which a phase was asked, and its records."""
    eventually(lambda: any(c.phase == phase and c.requests for c in counters(site)))
    found = next(c for c in counters(site) if c.phase == phase and c.requests)
    records = [each for batch in site.batches() for each in batch.records if each.phase == phase]
    return found, records


def counters(site: Site) -> list[Counter]:
    return [counter for batch in site.batches() for counter in batch.counters]


def metric(site: Site, name: str) -> str:
    """The value of the first sample that begins so."""
    lines = site.get("/metrics").body.decode().splitlines()
    found = (line for line in lines if line.startswith(f"switchyard_gateway_{name}"))
    return next(found, " none").rpartition(" ")[2]


def test_stale__model_away__answers_with_what_it_said_before(served: Site) -> None:
    policy = Policy(cache=Cache(ttl_s=0.01, shared=False), breaker=None)
    served.publish(spec(served, served.triton, policy))
    before = served.predict().json()
    served.publish(spec(served, AWAY, policy, phase=2))
    answer = served.predict().json()
    assert (answer["fallback"], answer["cache_hit"]) == ("stale", False)
    assert [answer[name] for name in ("prediction", "model_version", "variant")] == [
        before["prediction"],
        "1.0.0",
        "stable",
    ]
    counter, records = facts(served, 2)
    assert (counter.requests, counter.fallback_kinds, counter.errors) == (1, {"stale": 1}, {})
    assert [record.fallback for record in records] == ["stale"]


def test_variant__model_away__answers_with_the_one_in_reserve(served: Site) -> None:
    served.publish(spec(served, policy=chain(variant="reserve", default=DEFAULT), phase=3))
    answer = served.predict().json()
    assert answer["fallback"] == "variant:reserve"
    assert (answer["model_version"], answer["variant"]) == ("2.0.0", "reserve")
    counter, records = facts(served, 3)
    assert (counter.variant, counter.fallbacks, counter.errors) == ("stable", 1, {})
    assert counter.fallback_kinds == {"variant": 1}
    assert [record.fallback for record in records] == ["variant:reserve"]


def test_variant__away_as_well__goes_on_to_the_default(served: Site) -> None:
    variants = [rig.variant(1, AWAY), rig.variant(2, AWAY, key="reserve", role="fallback")]
    policy = chain(variant="reserve", default=DEFAULT)
    served.publish(rig.endpoint(variants, policy=policy))
    answer = served.predict().json()
    assert (answer["fallback"], answer["prediction"], answer["label"]) == (
        "default",
        0.1,
        "on_time",
    )
    assert [answer[name] for name in ("model_version", "variant", "confidence")] == [None] * 3


def test_variant__another_schema__gets_the_row_if_it_fits(served: Site) -> None:
    wider = ModelSchema(
        features=tuple(reversed(rig.SCHEMA.features)),
        tensors=rig.SCHEMA.tensors,
        output=rig.SCHEMA.output,
    )
    variants = [
        rig.variant(1, AWAY),
        rig.variant(2, served.triton, key="reserve", role="fallback", schema=wider),
    ]
    served.publish(
        rig.endpoint(variants, policy=chain(variant="reserve"), sample_rate=1.0, phase=4)
    )
    assert served.predict(x7=0.5).json()["fallback"] == "variant:reserve"
    _, records = facts(served, 4)
    assert records[0].features == rig.example(x7=0.5)


def test_pinned__version_away__is_not_answered_by_another(served: Site) -> None:
    served.publish(spec(served, policy=chain(variant="reserve", default=DEFAULT)))
    assert served.predict(version="1.0.0").status == 503


def test_chain__empty__is_503_with_retry_after_and_counted_as_the_variant_s(served: Site) -> None:
    served.publish(spec(served, phase=5))
    reply = served.predict()
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    counter, _ = facts(served, 5)
    assert (counter.errors, counter.fallback_kinds) == ({"unavailable": 1}, {"503": 1})


def test_breaker__model_away__opens_and_closes_when_it_is_back(served: Site) -> None:
    policy = chain(QUICK, default=DEFAULT)
    served.publish(spec(served, policy=policy))
    for _ in range(QUICK.minimum):
        assert served.predict().json()["fallback"] == "default"
    assert metric(served, 'breaker_state{endpoint="rig",version="rig/1",variant="stable"}') != "0.0"
    assert metric(served, "breaker_opened_total") == "1"
    eventually(lambda: "rig/stable" in getattr(served.report(), "breakers", {}))
    served.publish(spec(served, served.triton, policy))
    eventually(lambda: served.predict().json()["fallback"] is None)
    eventually(lambda: served.predict().json() and metric(served, "breaker_state") == "0.0")


def test_breaker__open__asks_triton_for_nothing(served: Site) -> None:
    policy = chain(Breaker(minimum=5, open_s=600))
    served.publish(spec(served, served.triton, policy, limits=Limits(deadline_ms=50)))
    with served.hanging_triton():
        assert [served.predict().status for _ in range(5)] == [504] * 5
    sent = metric(served, 'batch_rows_total{endpoint="rig",version="rig/1",variant="stable"}')
    reply = served.predict()
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert (
        metric(served, 'batch_rows_total{endpoint="rig",version="rig/1",variant="stable"}') == sent
    )


def canary(site: Site, **changes: Any) -> EndpointSpec:
    variants = [
        rig.variant(1, site.triton),
        rig.variant(FRAGILE, site.triton, key="canary", role="canary"),
    ]
    guardrail = Guardrail(rollout="f1", candidate="canary", baseline="stable")
    weights = {"stable": 8_000, "canary": 2_000}
    return rig.endpoint(variants, weights, rollout="f1", guardrails=(guardrail,), **changes)


def test_guardrail__fallback_answers_for_the_canary__still_sees_it_fail(fragile: Site) -> None:
    fragile.publish(canary(fragile, policy=chain(variant="stable")))
    answers = [fragile.predict(f"user-{number}", code=RAISING).json() for number in range(80)]
    assert {answer["variant"] for answer in answers} == {"stable"}
    assert "variant:stable" in {answer["fallback"] for answer in answers}
    eventually(lambda: metric(fragile, "overrides") == "1")


def test_deadline__the_client_s_own__holds_when_it_is_the_smaller(served: Site) -> None:
    policy = chain(QUICK)
    served.publish(spec(served, served.triton, policy, limits=Limits(deadline_ms=20_000)))
    with served.hanging_triton():
        replies = [ask(served, "100").status for _ in range(QUICK.minimum + 1)]
    assert replies == [504] * len(replies), "and the breaker does not blame the model"
    assert ask(served, "10000").status == 200
    assert ask(served, "soon").status == 400


def ask(site: Site, milliseconds: str) -> Any:
    """A prediction by a client that waits so long."""
    body = {"model": "rig", "features": rig.example(), "user_id": "u1"}
    return site.post("/v1/predict", body, **{"X-Request-Timeout-Ms": milliseconds})


@pytest.fixture
def grpc(served: Site) -> Iterator[Any]:
    with triton.InferenceServerClient(served.environment["GATEWAY_GRPC_URL"]) as client:
        yield client


def tensors(rows: int) -> list[Any]:
    numeric = triton.InferInput("numeric", [rows, len(rig.NUMBERS)], "FP32")
    numeric.set_data_from_numpy(np.zeros((rows, len(rig.NUMBERS)), dtype=np.float32))
    codes = triton.InferInput("code", [rows, 1], "INT64")
    codes.set_data_from_numpy(np.ones((rows, 1), dtype=np.int64))
    return [numeric, codes]


def test_grpc__model_away__gets_the_default_as_a_tensor_for_each_row(
    served: Site, grpc: Any
) -> None:
    features = tuple(each for each in rig.SCHEMA.features if each.kind != "string")
    schema = ModelSchema(features=features, tensors=rig.SCHEMA.tensors, output=rig.SCHEMA.output)
    variants = [rig.variant(1, AWAY, schema=schema)]
    served.publish(rig.endpoint(variants, policy=chain(default=DEFAULT)))
    headers = {"authorization": f"Bearer {rig.CLIENT_KEY}"}
    answer = grpc.infer("rig", tensors(3), headers=headers)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), [[0.9, 0.1]] * 3, rtol=1e-6)
    assert answer.get_response().parameters["fallback"].string_param == "default"


def test_rate__more_than_allowed__is_429_with_retry_after(served: Site) -> None:
    limited = rig.client("limited", "k3", requests_per_second=0.01, burst=2)
    served.publisher.publish_clients(rig.client(), limited, revision=int(time.time()))
    served.publish(spec(served, served.triton))
    body = {"model": "rig", "features": rig.example()}
    eventually(lambda: served.post("/v1/predict", {}, key="k3").status != 401)
    replies = [served.post("/v1/predict", body, key="k3") for _ in range(3)]
    assert replies[-1].status == 429
    assert int(replies[-1].headers["Retry-After"]) > 1
    assert served.predict().status == 200
    assert metric(served, 'rejected_requests_total{endpoint="",reason="rate_limited"}') != "none"
