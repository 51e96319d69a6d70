"""POST /v1/outcomes: what happened after a prediction, kept as facts."""

from typing import Any

import pytest

from tests.dataplane.gateway.site import Site, eventually

LABEL = {
    "outcome_id": "o1",
    "prediction_id": "p1",
    "metric": "label",
    "value": "late",
    "timestamp": "2026-03-01T12:00:00+00:00",
}


def outcome(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**LABEL, **changes}.items() if value is not None}


def test_outcomes__label_and_metric__are_spooled_for_the_client_that_sent_them(site: Site) -> None:
    site.serve()
    metric = outcome(outcome_id="o2", prediction_id=None, unit="u1", metric="revenue", value=9.5)
    reply = site.post("/v1/outcomes", {"outcomes": [outcome(), metric]})
    assert (reply.status, reply.json()) == (202, {"accepted": 2})
    eventually(lambda: [each for batch in site.batches() for each in batch.outcomes])
    label, revenue = [each for batch in site.batches() for each in batch.outcomes]
    assert (label.prediction_id, label.value, label.client) == ("p1", "late", "app")
    assert label.at == 1_772_366_400.0
    assert (revenue.metric, revenue.value, len(revenue.unit)) == ("revenue", 9.5, 32)


def test_outcomes__of_a_unit__carry_the_same_hash_as_its_predictions(site: Site) -> None:
    site.serve(site.endpoint(sample_rate=1.0))
    site.predict("u1")
    unit = outcome(prediction_id=None, unit="u1")
    site.post("/v1/outcomes", {"outcomes": [unit]})
    eventually(lambda: [each for batch in site.batches() for each in batch.outcomes])
    batches = site.batches()
    hashes = {record.unit for batch in batches for record in batch.records}
    assert {each.unit for batch in batches for each in batch.outcomes} == hashes


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"outcome_id": ""}, "$.outcomes[0].outcome_id"),
        ({"outcome_id": None}, "$.outcomes[0]"),
        ({"prediction_id": None}, "$.outcomes[0]"),
        ({"unit": "u1"}, "$.outcomes[0]"),
        ({"timestamp": "yesterday"}, "$.outcomes[0].timestamp"),
        ({"timestamp": "2026-03-01T12:00:00"}, "$.outcomes[0].timestamp"),
        ({"timestamp": -1}, "$.outcomes[0].timestamp"),
        ({"value": []}, "$.outcomes[0].value"),
        ({"metric": "m" * 300}, "$.outcomes[0].metric"),
        ({"what": 1}, "$.outcomes[0]"),
    ],
)
def test_outcomes__bad_one__is_422_at_its_path(
    served: Site, changes: dict[str, Any], path: str
) -> None:
    reply = served.post("/v1/outcomes", {"outcomes": [outcome(**changes)]})
    assert (reply.status, reply.paths()) == (422, [path])


def test_outcomes__not_json_without_key_or_too_many__are_refused(served: Site) -> None:
    assert served.post("/v1/outcomes", b"{").status == 400
    assert served.post("/v1/outcomes", {"outcomes": []}).status == 422
    assert served.post("/v1/outcomes", {"outcomes": [outcome()] * 1_001}).status == 422
    assert served.post("/v1/outcomes", {"outcomes": [outcome()]}, key="").status == 401
