"""Which tables a gateway accepts, and how it gets by without Redis."""

import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import rig
from contracts.routing import INDEX_KEY, SPEC_KEY, RoutingIndex
from contracts.signing import parse_public_keys
from dataplane.gateway.routing import Disk, Routing
from tests.dataplane.gateway.site import Site, eventually


@pytest.fixture
def routing(site: Site, tmp_path: Path) -> Routing:
    return new_routing(site, tmp_path)


def new_routing(site: Site, tmp_path: Path) -> Routing:
    keys = parse_public_keys(site.environment["ROUTING_PUBLIC_KEYS"])
    return Routing(disk=Disk(tmp_path / "routing"), keys=keys)


def test_refresh__published_table__is_accepted_once(site: Site, routing: Routing) -> None:
    site.publisher.publish(site.endpoint())
    table = routing.refresh(site.redis).table
    assert table is not None
    assert table.order == (1, 1)
    assert routing.refresh(site.redis).table is None


def test_refresh__older_generation__is_refused(site: Site, routing: Routing) -> None:
    site.publisher.publish(site.endpoint(), generation=7)
    routing.refresh(site.redis)
    site.publisher.publish(site.endpoint(phase=2), generation=6)
    assert routing.refresh(site.redis).table is None
    assert "older" in routing.refused


def test_refresh__older_epoch_with_a_higher_generation__is_refused(
    site: Site, routing: Routing
) -> None:
    site.publisher.epoch = 2
    site.publisher.publish(site.endpoint(), generation=3)
    routing.refresh(site.redis)
    site.publisher.epoch = 1
    site.publisher.publish(site.endpoint(phase=2), generation=9)
    assert routing.refresh(site.redis).table is None
    assert "older" in routing.refused


def test_refresh__newer_epoch_with_a_lower_generation__is_accepted(
    site: Site, routing: Routing
) -> None:
    site.publisher.publish(site.endpoint(), generation=9)
    routing.refresh(site.redis)
    site.publisher.epoch = 2
    site.publisher.publish(site.endpoint(phase=2), generation=1)
    table = routing.refresh(site.redis).table
    assert table is not None
    assert table.order == (2, 1)


def forged(site: Site) -> bytes:
    stranger = rig.Publisher(site.redis, Ed25519PrivateKey.generate(), site.publisher.key_id)
    index = RoutingIndex(epoch=9, generation=9, issued_at=0.0, endpoints={})
    return stranger.signed(index, "routing-index")


def swapped_purpose(site: Site) -> bytes:
    index = RoutingIndex(epoch=9, generation=9, issued_at=0.0, endpoints={})
    return site.publisher.signed(index, "clients")


@pytest.mark.parametrize("forge", [forged, swapped_purpose, lambda _: b"garbage"])
def test_refresh__not_signed_for_this__is_refused(site: Site, routing: Routing, forge: Any) -> None:
    site.redis.set(INDEX_KEY, forge(site))
    assert routing.refresh(site.redis).table is None
    assert routing.refused


def test_refresh__spec_tampered_with__is_refused_until_it_is_right(
    site: Site, routing: Routing
) -> None:
    site.publisher.publish(site.endpoint())
    key = next(iter(site.redis.keys(SPEC_KEY + "*")))
    body: Any = site.redis.get(key)
    site.redis.set(key, b"{}")
    assert routing.refresh(site.redis).table is None
    assert "digest" in routing.refused
    site.redis.set(key, body)
    assert routing.refresh(site.redis).table is not None
    assert routing.refused == ""


def test_refresh__one_endpoint_cannot_be_compiled__keeps_its_last_good_form(
    site: Site, routing: Routing
) -> None:
    other = site.endpoint(name="other")
    site.publisher.publish(site.endpoint(), other)
    routing.refresh(site.redis)
    site.publisher.publish(site.endpoint(ranges=(), phase=2), site.endpoint(name="other", phase=2))
    table = routing.refresh(site.redis).table
    assert table is not None
    assert {name: each.spec.phase for name, each in table.endpoints.items()} == {
        "rig": 1,
        "other": 2,
    }
    assert "'rig'" in routing.refused


def test_boot__after_a_refresh__finds_the_same_table_on_disk(
    site: Site, routing: Routing, tmp_path: Path
) -> None:
    site.publisher.publish(site.endpoint(), generation=4)
    routing.refresh(site.redis)
    again = new_routing(site, tmp_path)
    update = again.boot()
    assert update.table is not None
    assert update.clients is not None
    assert (update.table.order, update.table.source) == ((1, 4), "disk")
    site.publisher.publish(site.endpoint(), generation=3)
    assert again.refresh(site.redis).table is None


def test_refresh__thousand_endpoints_one_changed__takes_well_under_the_switching_time(
    site: Site, routing: Routing
) -> None:
    many = [site.endpoint(name=f"endpoint-{number}") for number in range(1_000)]
    site.publisher.publish(*many)
    routing.refresh(site.redis)
    site.publisher.publish(*many[:-1], site.endpoint(name="endpoint-999", phase=2))
    began_at = time.perf_counter()
    assert routing.refresh(site.redis).table is not None
    assert time.perf_counter() - began_at < 0.25


def test_gateway__redis_away_at_the_start__serves_from_its_disk(site: Site) -> None:
    site.serve()
    site.stop()
    site.start(REDIS_URL="redis://127.0.0.1:9/0")
    eventually(lambda: site.predict().status == 200)
    assert site.predict().json()["generation"] == 1


def test_gateway__new_generation_under_load__switches_without_an_error(site: Site) -> None:
    site.serve()
    for phase in range(2, 6):
        generation = site.publisher.publish(site.endpoint(phase=phase))
        answers = [site.predict() for _ in range(5)]
        assert {answer.status for answer in answers} == {200}
        site.wait_for(generation)
        assert site.predict().json()["generation"] == generation


def test_gateway__refused_index__is_told_in_the_report(site: Site) -> None:
    site.serve()
    site.redis.set(INDEX_KEY, forged(site))
    eventually(lambda: (report := site.report()) and "signature" in report.rejected_index)
    assert site.predict().status == 200
