"""One holder at a time."""

import pytest

from apps.accounts.access import Role, system
from apps.accounts.errors import PermissionDenied
from apps.events.errors import Invalid
from apps.events.models import Event
from apps.routing import services
from apps.routing.errors import LeaseHeld
from tests.registry.factories import person
from tests.routing.factories import canary, deployed, make_endpoint, operator, route, stable

pytestmark = pytest.mark.django_db
A, B = "rollout:a", "experiment:b"


def test_acquire__free__held_and_told() -> None:
    endpoint = services.acquire_lease(actor=operator(), endpoint=make_endpoint(), holder=A)
    assert endpoint.lease_holder == A
    event = Event.objects.for_object(endpoint.key)[0]
    assert (event.verb, event.before, event.after) == (
        "endpoint.leased",
        {"holder": ""},
        {"holder": A},
    )


def test_acquire__by_its_holder_again__nothing_happens() -> None:
    endpoint = make_endpoint()
    for _ in range(2):
        services.acquire_lease(actor=operator(), endpoint=endpoint, holder=A)
    assert Event.objects.filter(verb="endpoint.leased").count() == 1


def test_acquire__held_by_another__refused() -> None:
    endpoint = make_endpoint()
    services.acquire_lease(actor=operator(), endpoint=endpoint, holder=A)
    with pytest.raises(LeaseHeld, match=A):
        services.acquire_lease(actor=system("x"), endpoint=endpoint, holder=B)


def test_acquire__by_nobody__invalid() -> None:
    with pytest.raises(Invalid):
        services.acquire_lease(actor=operator(), endpoint=make_endpoint(), holder="")


def test_release__by_its_holder_twice__free() -> None:
    endpoint = make_endpoint()
    services.acquire_lease(actor=operator(), endpoint=endpoint, holder=A)
    for _ in range(2):
        endpoint = services.release_lease(actor=operator(), endpoint=endpoint, holder=A)
    assert (endpoint.lease_holder, endpoint.leased_at) == ("", None)


def test_release__by_another__refused() -> None:
    endpoint = make_endpoint()
    services.acquire_lease(actor=operator(), endpoint=endpoint, holder=A)
    with pytest.raises(LeaseHeld):
        services.release_lease(actor=system("x"), endpoint=endpoint, holder=B)


def test_transfer__ship_decision__nobody_moves() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)
    services.acquire_lease(actor=system("x"), endpoint=endpoint, holder=B)
    route(endpoint, stable(one, 5_000), canary(two, 5_000), holder=B, actor=system("x"))
    endpoint = services.transfer_lease(actor=system("x"), endpoint=endpoint, holder=B, to=A)
    assert (endpoint.lease_holder, endpoint.revision) == (A, 1)
    with pytest.raises(LeaseHeld):
        route(endpoint, stable(one), holder=B, actor=system("x"))


def test_transfer__from_somebody_else__refused() -> None:
    endpoint = make_endpoint()
    with pytest.raises(LeaseHeld, match="nobody"):
        services.transfer_lease(actor=system("x"), endpoint=endpoint, holder=B, to=A)


def test_acquire__analyst__experiments_only() -> None:
    endpoint, analyst = make_endpoint(), person("ann", Role.ANALYST)
    with pytest.raises(PermissionDenied):
        services.acquire_lease(actor=analyst, endpoint=endpoint, holder=A)
    assert services.acquire_lease(actor=analyst, endpoint=endpoint, holder=B).lease_holder == B


def test_leases__never__count_as_revisions() -> None:
    endpoint = make_endpoint()
    services.acquire_lease(actor=operator(), endpoint=endpoint, holder=A)
    services.release_lease(actor=operator(), endpoint=endpoint, holder=A)
    endpoint.refresh_from_db()
    assert endpoint.revision == 0
