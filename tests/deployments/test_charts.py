"""The pictures of an endpoint, as data."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apps.deployments import charts
from apps.monitoring.selectors import Line
from tests.deployments.ramps import ingest
from tests.monitoring.factories import counter
from tests.routing.factories import make_endpoint

pytestmark = pytest.mark.django_db
SPAN = timedelta(minutes=15)


def serve(now: datetime, variant: str, version: str, requests: int) -> None:
    second = int(now.timestamp()) - 60
    ingest(
        counters=(
            counter([5.0], second=second, variant=variant, version=version, requests=requests),
        )
    )


def test_charts__after_a_ramp__each_version_by_its_name_in_its_colour() -> None:
    now = timezone.now()
    serve(now, "stable", "flights/1", 95)
    serve(now, "canary", "flights/2", 5)
    serve(now, "stable", "flights/2", 50)
    requests = charts.of_endpoint(make_endpoint(), until=now, span=SPAN)[-1]
    assert [(entry.name, entry.swatch, entry.figure) for entry in requests.legend] == [
        ("v1 stable", "baseline", "95"),
        ("v2 canary", "candidate", "5"),
        ("v2 stable", "candidate", "50"),
    ]
    assert [line["role"] for line in requests.data["series"]] == [
        "baseline",
        "candidate",
        "candidate",
    ]
    assert [line["dash"] for line in requests.data["series"]] == ["", "dot", ""]
    assert "v2 stable 50" in requests.words


def test_charts__no_traffic__say_so() -> None:
    until = datetime(2026, 3, 1, 12, tzinfo=UTC)
    errors = charts.of_endpoint(make_endpoint(), until=until, span=SPAN)[0]
    assert (errors.legend, errors.words.strip()) == ([], "No traffic in this time.")


def test_roles__arms_of_an_experiment__oldest_is_the_baseline() -> None:
    lines = [Line("arm-b", "flights/10"), Line("control", "flights/9"), Line("arm-c", "flights/11")]
    assert charts.roles_of(dict.fromkeys(lines)) == {"flights/9": "baseline"}  # type: ignore[arg-type]  # keys alone count
