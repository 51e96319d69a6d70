"""Shadows over REST and on the pages where somebody decides by them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from rest_framework.test import APIClient

from apps.accounts.access import Role
from apps.monitoring import panels
from apps.monitoring.ingest import batches
from apps.registry import panels as registry_panels
from apps.routing import panels as routing_panels
from contracts.records import Comparison
from serving.sketches import bin_of
from tests.monitoring.factories import batch, envelope
from tests.registry.factories import make_version, person
from tests.routing.factories import make_endpoint

pytestmark = pytest.mark.django_db
SHADOW = "/api/v1/endpoints/flights/shadow"


def compare(rows: int, /, **values: Any) -> None:
    """`rows` rows of a minute ago, 98 % with the same label."""
    fields: dict[str, Any] = {
        "second": int((datetime.now(UTC) - timedelta(minutes=1)).timestamp()),
        "endpoint": "flights",
        "shadow": "flights/1",
        "baseline": "flights/9",
        "rows": rows,
        "labelled": rows,
        "agreements": round(rows * 0.98),
        "shift_sum": rows * 0.01,
        "shift_squares": rows * 0.0002,
        "shifts": {bin_of(0.01): rows},
        "timed": rows,
        "delay_sum_ms": rows * 1.5,
        "delay_squares": rows * 4.0,
        "baseline_latency": {bin_of(2.0): rows},
        "shadow_latency": {bin_of(3.5): rows},
    }
    sealed = batch(comparisons=(Comparison(**fields), Comparison(**fields | values)))
    batches.commit(envelopes=[envelope(sealed)])


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    principal: Any = person("rita", Role.READ_ONLY)  # the types know no other kind of token
    client.force_authenticate(user=None, token=principal)
    return client


def test_shadow__rest__has_figures_with_their_doubt(api: APIClient) -> None:
    make_endpoint()
    compare(1_000, segment="carrier=AA", errors={"timeout": 4})
    (found,) = api.get(SHADOW, {"version": "flights/1"}).json()["comparisons"]
    traffic = found["traffic"]
    assert (traffic["rows"], traffic["enough"], traffic["agreement"]) == (1_000, True, 0.98)
    assert traffic["agreement_interval"]["low"] == pytest.approx(0.9693, abs=1e-3)
    assert traffic["shift_interval"]["low"] < 0.01 < traffic["shift_interval"]["high"]
    assert (traffic["mean_delay_ms"], traffic["shadow_p99_ms"]) == (1.5, pytest.approx(3.5, 0.01))
    (segment,) = found["segments"]
    assert (segment["name"], segment["traffic"]["errors_by_kind"]) == ("carrier=AA", {"timeout": 4})


def test_shadow__rest_without_any__is_empty(api: APIClient) -> None:
    make_endpoint()
    assert api.get(SHADOW).json()["comparisons"] == []
    assert api.get("/api/v1/endpoints/unknown/shadow").status_code == 404


def test_shadow__rest_period_upside_down__names_the_field(api: APIClient) -> None:
    make_endpoint()
    now = datetime.now(UTC).isoformat()
    reply = api.get(SHADOW, {"since": now, "until": now})
    assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, "$.since")


def test_version_page__was_a_shadow__shows_what_came_of_it() -> None:
    make_endpoint()
    version = make_version()
    compare(1_000, segment="carrier=<b>", rows=12, labelled=12, agreements=3)
    (html,) = [each.html for each in registry_panels.render(version) if each.slug == "shadow"]
    for words in ("98.00 %", "96.93 % to 98.70 %", "+1.5 ms", "carrier=&lt;b&gt;"):
        assert words in html
    assert "not enough rows" in html


def test_version_page__never_a_shadow__shows_nothing() -> None:
    assert panels.version(make_version()) is None


def test_endpoint_page__a_shadow_with_few_rows__says_that_it_cannot_tell() -> None:
    endpoint = make_endpoint()
    compare(10)
    found = panels.endpoint(endpoint)
    assert found is not None
    html = render_to_string("monitoring/endpoint_shadow_panel.html", found)
    assert "not enough rows: 100 are needed" in html
    assert html in routing_panels.render(endpoint)
