"""The answer to a good request, and who gets which version."""

import msgspec
import numpy as np

from benchmarks import rig
from serving.allocation import bucket_of, variant_at
from tests.dataplane.gateway.site import Site, eventually


def late(bias: float) -> float:
    example = rig.example()
    weights = np.linspace(-0.5, 0.5, len(rig.NUMBERS))
    linear = float(np.dot([example[name] for name in rig.NUMBERS], weights))
    return float(1 / (1 + np.exp(-(linear + bias))))


def test_predict__good_request__has_every_field_of_the_contract(site: Site) -> None:
    site.serve()
    answer = site.predict().json()
    assert answer["prediction"] == np.float32(late(1.0))
    assert answer.pop("latency_ms") > 0
    assert len(answer.pop("prediction_id")) == 36
    assert answer == {
        "prediction": answer["prediction"],
        "label": "late",
        "confidence": answer["prediction"],
        "model_version": "1.0.0",
        "variant": "stable",
        "generation": 1,
        "cache_hit": False,
        "fallback": None,
    }


def test_predict__split__follows_the_buckets_of_the_units(site: Site) -> None:
    spec = site.canary(3_000)
    site.serve(spec)
    users = [f"user-{number}" for number in range(60)]
    seen = {user: site.predict(user).json()["variant"] for user in users}
    assert seen == {user: variant_at(spec.ranges, bucket_of("salt", user)) for user in users}
    assert set(seen.values()) == {"stable", "canary"}


def test_predict__no_user__spreads_requests_over_the_variants(site: Site) -> None:
    site.serve(site.canary(5_000))
    seen = {site.predict(None).json()["variant"] for _ in range(40)}
    assert seen == {"stable", "canary"}


def test_predict__pinned_version__answers_by_number_or_label(site: Site) -> None:
    site.serve(site.canary(0))
    for version in (2, "2", "2.0.0"):
        assert site.predict(version=version).json()["model_version"] == "2.0.0"


def test_predict__shadow_version_pinned__is_409_at_the_field(site: Site) -> None:
    shadow = rig.variant(2, site.triton, key="shadow", role="shadow")
    site.serve(rig.endpoint([rig.variant(1, site.triton), shadow]))
    reply = site.predict(version=2)
    assert (reply.status, reply.paths()) == (409, ["$.version"])


def test_facts__answered_requests__arrive_as_counters_exposures_and_records(site: Site) -> None:
    site.serve(site.endpoint(sample_rate=1.0))
    ids = {site.predict(f"u{number % 3}").json()["prediction_id"] for number in range(9)}
    eventually(lambda: site.requests_counted() == 9)
    batches = site.batches()
    records = [record for batch in batches for record in batch.records]
    assert {record.prediction_id for record in records} == ids
    assert all(record.features == rig.example() for record in records)
    assert len([each for batch in batches for each in batch.exposures]) == 3
    counters = [counter for batch in batches for counter in batch.counters]
    assert sum(sum(counter.latency.values()) for counter in counters) == 9
    assert sum(counter.positives for counter in counters) == 9


def test_metrics__after_answers__count_them(site: Site) -> None:
    site.serve()
    site.predict()
    text = site.get("/metrics").body.decode()
    labels = 'endpoint="rig",version="rig/1",variant="stable"'
    assert f'switchyard_gateway_predictions_total{{{labels},result="ok"}} 1' in text


def test_readyz__before_and_after_a_table__is_503_then_200(site: Site) -> None:
    site.start()
    assert site.get("/readyz").status == 503
    assert site.get("/healthz").status == 200
    assert site.predict().status == 503
    site.publish(site.endpoint())
    assert site.get("/v2/health/ready").status == 200


def test_records__private_features__are_dropped_or_hashed(site: Site) -> None:
    treatments = {"carrier": "drop", "x0": "hash"}
    features = tuple(
        msgspec.structs.replace(each, pii=treatments.get(each.name, ""))
        for each in rig.SCHEMA.features
    )
    schema = msgspec.structs.replace(rig.SCHEMA, features=features)
    site.serve(rig.endpoint([rig.variant(1, site.triton, schema=schema)], sample_rate=1.0))
    assert site.predict().status == 200
    eventually(lambda: [record for batch in site.batches() for record in batch.records])
    (record,) = [record for batch in site.batches() for record in batch.records]
    assert "carrier" not in record.features
    assert len(str(record.features["x0"])) == 32
    assert record.features["x1"] == rig.example()["x1"]
