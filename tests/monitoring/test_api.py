"""Monitoring over REST."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.access import Role
from apps.monitoring.ingest import batches, settlement
from contracts.records import Batch
from tests.monitoring.factories import batch, counter, envelope, outcome, record
from tests.registry.factories import make_version, person
from tests.routing.factories import make_endpoint

pytestmark = pytest.mark.django_db
TRAFFIC = "/api/v1/endpoints/flights/traffic"
SINCE = timezone.now().replace(microsecond=0) - timedelta(minutes=5)
PERIOD: dict[str, Any] = {
    "since": SINCE.isoformat(),
    "until": (SINCE + timedelta(seconds=20)).isoformat(),
    "step_s": 10,
}


@pytest.fixture
def api() -> APIClient:
    """A REST client of somebody who may only look."""
    client = APIClient()
    principal: Any = person("rita", Role.READ_ONLY)  # the types know no other kind of token
    client.force_authenticate(user=None, token=principal)
    return client


def ingest(sealed: Batch) -> None:
    settlement.settle(committed=batches.commit(envelopes=[envelope(sealed)]), boots=[])


def test_traffic__of_a_period__totals_variants_and_series(api: APIClient) -> None:
    make_endpoint()
    ingest(
        batch(
            counters=(
                counter([5.0], second=int(SINCE.timestamp()), requests=2, errors={"model": 1}),
            )
        )
    )
    body = api.get(TRAFFIC, PERIOD).json()
    (variant,) = body["variants"]
    assert body["totals"]["availability"] == 0.5
    assert (variant["requests"], variant["errors_by_kind"]) == (2, {"model": 1})
    assert variant["series"]["requests"] == [2, 0]
    assert variant["series"]["p99_ms"] == [pytest.approx(5.0, rel=0.01), None]


def test_traffic__nothing_yet__empty(api: APIClient) -> None:
    make_endpoint()
    body = api.get(TRAFFIC).json()
    assert (body["variants"], body["totals"]["requests"]) == ([], 0)


@pytest.mark.parametrize(
    ("query", "status", "path"),
    [
        ({"since": "yesterday"}, 400, "$.since"),
        ({**PERIOD, "since": PERIOD["until"]}, 422, "$.since"),
        (
            {**PERIOD, "since": (SINCE - timedelta(days=9)).isoformat(), "step_s": 1},
            422,
            "$.step_s",
        ),
        ({"step_s": 0}, 400, "$.step_s"),
    ],
)
def test_traffic__bad_period__problem_names_the_field(
    api: APIClient, query: dict[str, Any], status: int, path: str
) -> None:
    make_endpoint()
    answer = api.get(TRAFFIC, query)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (status, path)


def test_traffic__unknown_endpoint__not_found(api: APIClient) -> None:
    assert api.get(TRAFFIC).status_code == 404


def test_traffic__without_credentials__refused() -> None:
    assert APIClient().get(TRAFFIC).status_code == 401


def test_performance__some_labels__accuracy_with_its_doubt(api: APIClient) -> None:
    make_version(number=2)
    ingest(batch(records=(record("p1"), record("p2")), outcomes=(outcome("p1"),)))
    body = api.get("/api/v1/models/flights/versions/2/performance").json()
    assert body["accuracy"]["matured_share"] == 0.5
    assert body["accuracy"]["interval"]["low"] == pytest.approx(0.2065, abs=1e-4)
    assert [row["phase"] for row in body["phases"]] == [1]


def test_performance__no_labels__says_nothing(api: APIClient) -> None:
    make_version(number=2)
    body = api.get("/api/v1/models/flights/versions/2/performance").json()
    assert (body["accuracy"]["share"], body["accuracy"]["interval"]) == (None, None)
