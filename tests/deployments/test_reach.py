"""What a promotion would touch, and the way back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.deployments.models import Deployment, Target
from apps.registry import impact
from apps.routing.models import Backend, GatewayReport
from tests.deployments.ramps import ingest
from tests.monitoring.factories import counter
from tests.routing.factories import deployed, make_endpoint, route, stable

pytestmark = pytest.mark.django_db


def test_reach__of_a_candidate__endpoints_traffic_and_the_way_back() -> None:
    now = timezone.now()
    first, second = deployed(1), deployed(2)
    endpoint = make_endpoint()
    generation = route(endpoint, stable(first))
    GatewayReport.objects.create(
        gateway="gateway-1",
        epoch=generation.epoch,
        generation=generation.number,
        source="redis",
        swapped_at=generation.issued_at + timedelta(seconds=0.25),
        started_at=now,
        reported_at=now,
    )
    at = int((now - timedelta(minutes=5)).timestamp())
    seen = counter([5.0] * 36, requests=36, second=at, variant="stable", version="flights/1")
    ingest(counters=(seen,))
    found = impact.blast_radius(second)
    (touched,) = found.endpoints
    assert (touched.endpoint, touched.team, touched.share) == ("flights", "ops", 1.0)
    assert (touched.versions, touched.requests_per_s) == (("flights/1",), 0.01)
    assert found.teams == ("ops",)
    (way,) = impact.ways_back(second)
    assert (way.version, way.loaded, way.seconds) == ("flights/1", True, 0.25)
    Backend.objects.filter(version=first).update(state="gone")
    Deployment.objects.create(
        version=first,
        target=Target.objects.create(name="here"),
        entry="flights-v1",
        endpoint_name="flights",
        created_by="user:ada",
        state="healthy",
        created_at=now,
        healthy_at=now + timedelta(seconds=12),
        state_entered_at=now,
    )
    (way,) = impact.ways_back(second)
    assert (way.loaded, way.seconds) == (False, 12.0)
    assert "took 12 s last time" in way.sentence


def test_reach__after_the_switch__back_to_the_phase_before() -> None:
    first, second = deployed(1), deployed(2)
    endpoint = make_endpoint()
    assert impact.ways_back(second) == ()
    route(endpoint, stable(first))
    endpoint.refresh_from_db()
    route(endpoint, stable(second))
    (way,) = impact.ways_back(second)
    assert way.version == "flights/1"
