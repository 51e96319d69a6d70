"""Who got what and why; what is still needed."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from apps.events.errors import NotFound
from apps.routing import services
from apps.routing.errors import BackendInUse
from apps.routing.models import GatewayReport, Override
from apps.routing.selectors import (
    assignment,
    backend_of,
    difference,
    generations_needing,
    get_generation,
    index_at,
)
from contracts.routing import RoutingIndex
from serving.allocation import bucket_of
from tests.routing.factories import canary, deployed, make_endpoint, operator, route, stable

pytestmark = pytest.mark.django_db
UNITS = [f"N{number}" for number in range(200)]
YEAR = timedelta(days=365)


def gateway_at(generation: int, state: str = "live") -> None:
    now = timezone.now()
    GatewayReport.objects.create(
        gateway="gateway-1",
        state=state,
        boot="b",
        epoch=1,
        generation=generation,
        source="redis",
        started_at=now,
        reported_at=now,
    )


def test_assignment__split__is_what_a_gateway_computes() -> None:
    endpoint = make_endpoint()
    phase = route(endpoint, stable(deployed(1), 6_000), canary(deployed(2), 4_000)).phase
    for unit in UNITS:
        found = assignment(endpoint, unit, timezone.now())
        bucket = bucket_of(phase.salt, unit)
        owner = next(r.variant for r in phase.allocation() if r.start <= bucket < r.stop)
        assert (found.bucket, found.variant) == (bucket, owner)


def test_assignment__of_the_past__by_the_phase_of_that_time() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    first = route(endpoint, stable(one))
    route(endpoint, stable(two), reason="better")
    then = assignment(endpoint, "N1", first.issued_at)
    now = assignment(endpoint, "N1", timezone.now())
    assert (then.version, then.generation, then.phase) == ("flights/1", 1, 1)
    assert (now.version, now.generation, now.reason) == ("flights/2", 2, "better")


def test_assignment__candidate_withdrawn_by_a_gateway__says_so() -> None:
    endpoint, moment = make_endpoint(), timezone.now()
    route(endpoint, canary(deployed(1), 10_000), rollout_key="rollout:1")
    Override.objects.create(
        gateway="gateway-1",
        endpoint=endpoint,
        rollout_key="rollout:1",
        variant="canary",
        evidence={},
        withdrawn_at=moment,
    )
    assert assignment(endpoint, "u", timezone.now()).overrides == ("gateway-1",)


def test_assignment__before_anything_was_served__not_found() -> None:
    endpoint = make_endpoint()
    route(endpoint, stable(deployed(1)))
    with pytest.raises(NotFound):
        assignment(endpoint, "u", datetime(2001, 1, 1, tzinfo=UTC))


def test_assignment__request_level__not_found() -> None:
    endpoint = make_endpoint(unit_kind="request")
    route(endpoint, stable(deployed(1)))
    with pytest.raises(NotFound, match="each request"):
        assignment(endpoint, "u", timezone.now())


def test_difference__two_generations__only_what_changed() -> None:
    one, two = deployed(1), deployed(2)
    first, second = make_endpoint("first"), make_endpoint("second")
    before = route(first, stable(one))
    route(second, stable(one))
    after = route(first, stable(one, 9_000), canary(two, 1_000))
    changes = {change.name: change for change in difference(before, after)}
    assert changes["first"].moved == 1_000
    assert changes["first"].weights == ({"stable": 10_000}, {"stable": 9_000, "canary": 1_000})
    assert (changes["second"].before, changes["second"].moved) == (None, None)


def test_difference__salt_renewed__moves_are_not_told() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    before = route(endpoint, stable(one))
    after = route(endpoint, stable(one, 9_000), canary(deployed(2), 1_000), new_candidate=True)
    (change,) = difference(before, after)
    assert change.moved is None
    assert "salt" in change.fields


def test_index_at__before_the_first__empty() -> None:
    assert index_at(1, 0) == RoutingIndex(epoch=1, generation=0, issued_at=0.0, endpoints={})


def test_get_generation__unknown__not_found() -> None:
    with pytest.raises(NotFound):
        get_generation(77)


def test_needing__in_the_running_phase__needed_whatever_its_weight() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one), canary(two, 0))
    assert generations_needing(two)
    assert not generations_needing(deployed(3))


def test_needing__gateway_still_on_the_old_generation__needed() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    route(endpoint, stable(one))
    route(endpoint, stable(two))
    assert not generations_needing(one)
    gateway_at(1)
    assert generations_needing(one)
    GatewayReport.objects.update(generation=2)
    assert not generations_needing(one)


def test_needing__gateway_that_is_gone__does_not_count() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    route(endpoint, stable(deployed(2)))
    gateway_at(1, state="gone")
    assert not generations_needing(one)


def test_needing__phase_to_return_to__needed_within_retention() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    route(endpoint, stable(deployed(2)))
    assert generations_needing(one, since=timezone.now() - YEAR)
    assert not generations_needing(one, since=timezone.now() + YEAR)


def test_remove_backend__in_use__refused_then_allowed() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    with pytest.raises(BackendInUse, match="flights"):
        services.remove_backend(actor=operator(), version=one)
    route(endpoint, stable(deployed(2)))
    services.remove_backend(actor=operator(), version=one)
    assert backend_of(one) is None


def test_register_backend__new_address__new_generation_same_revision() -> None:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one))
    for _ in range(2):
        services.register_backend(
            actor=operator(), version=one, entry="flights-v1", addresses=["10.0.0.1:8001"]
        )
    endpoint.refresh_from_db()
    assert (endpoint.revision, endpoint.generations.count()) == (1, 2)
