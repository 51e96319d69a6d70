"""Several at once: one wins, nothing is lost, numbers have no gaps."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from apps.accounts.access import system
from apps.events.errors import DomainError
from apps.events.models import Event
from apps.routing import services
from apps.routing.errors import RevisionConflict
from apps.routing.models import Endpoint, Generation, Phase
from apps.routing.selectors import read_spec
from tests.routing.factories import canary, deployed, make_endpoint, route, stable

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_client"),
]
SYSTEM = system("test")


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    """Run all at the same time; results, or the domain errors that were raised."""
    barrier, results = threading.Barrier(len(actions)), []

    def run(action: Callable[[], object]) -> None:
        barrier.wait(10)
        try:
            results.append(action())
        except DomainError as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_reallocate__eight_on_one_revision__one_wins() -> None:
    endpoint, one, two = make_endpoint(), deployed(1), deployed(2)

    def attempt(weight: int) -> Callable[[], object]:
        weights = [stable(one, 10_000 - weight), canary(two, weight)]
        return lambda: services.reallocate(
            actor=SYSTEM,
            endpoint=endpoint,
            holder="",
            expected_revision=0,
            weights=weights,
            reason="race",
        )

    results = at_once([attempt(weight) for weight in range(100, 900, 100)])
    assert sum(isinstance(result, Generation) for result in results) == 1
    assert sum(isinstance(result, RevisionConflict) for result in results) == 7
    assert Phase.objects.count() == Generation.objects.count() == 1
    assert Event.objects.filter(verb="endpoint.reallocated").count() == 1


def test_generations__many_endpoints_at_once__no_gaps_in_commit_order() -> None:
    one = deployed(1)
    endpoints = [make_endpoint(f"e-{number}") for number in range(6)]

    def attempt(endpoint: Endpoint) -> Callable[[], object]:
        return lambda: services.reallocate(
            actor=SYSTEM,
            endpoint=endpoint,
            holder="",
            expected_revision=0,
            weights=[stable(one)],
            reason="race",
        )

    at_once([attempt(endpoint) for endpoint in endpoints])
    numbers = list(Generation.objects.order_by("id").values_list("number", flat=True))
    assert numbers == [1, 2, 3, 4, 5, 6]


def test_leases__two_holders_at_once__one_gets_it() -> None:
    endpoint = make_endpoint()

    def attempt(holder: str) -> Callable[[], object]:
        return lambda: services.acquire_lease(actor=SYSTEM, endpoint=endpoint, holder=holder)

    results = at_once([attempt(f"rollout:{number}") for number in range(5)])
    assert sum(isinstance(result, Endpoint) for result in results) == 1


def test_backend__moves_while_endpoints_change__every_spec_has_the_new_address() -> None:
    one, two = deployed(1), deployed(2)
    endpoints = [make_endpoint(f"e-{number}") for number in range(4)]
    route(endpoints[0], stable(one))
    route(endpoints[1], stable(one))

    def change(endpoint: Endpoint, revision: int) -> Callable[[], object]:
        return lambda: services.reallocate(
            actor=SYSTEM,
            endpoint=endpoint,
            holder="",
            expected_revision=revision,
            weights=[stable(one, 5_000), canary(two, 5_000)],
            reason="race",
        )

    def move() -> object:
        return services.register_backend(
            actor=SYSTEM, version=one, entry="flights-v1", addresses=["127.0.0.1:9"]
        )

    changes = [change(item, int(n < 2)) for n, item in enumerate(endpoints)]
    at_once([*changes, move])
    for endpoint in Endpoint.objects.all():
        spec = read_spec(endpoint.digest)
        assert spec.variants[0].addresses == ("127.0.0.1:9",)
