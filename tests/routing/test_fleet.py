"""What gateways report, and what they did by themselves."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import redis
from django.utils import timezone

from apps.accounts.access import system
from apps.events.errors import NotFound
from apps.events.models import Event
from apps.routing import publication, services
from apps.routing.models import Endpoint, GatewayReport, Override
from apps.routing.selectors import fleet, read_spec, troubles_of
from contracts import routing as contract
from tests.routing.conftest import Caller
from tests.routing.factories import canary, deployed, make_endpoint, operator, route, stable

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_client"),
]
ROLLOUT = "rollout:0192f3a4"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def report(client: "redis.Redis", name: str = "gateway-1", **fields: object) -> None:
    """Write a gateway's report as it does."""
    values: dict[str, object] = {
        "gateway": name,
        "boot": "b1",
        "url": "http://127.0.0.1:1",
        "epoch": 1,
        "generation": 1,
        "swapped_at": 1.0,
        "reported_at": 2.0,
        "started_at": 1.0,
        "source": "redis",
        "overrides": (),
        "spool_bytes": 0,
        "dropped": 0,
        **fields,
    }
    body = msgspec.json.encode(msgspec.convert(values, contract.GatewayReport))
    client.set(contract.REPORT_KEY + name, body, ex=10)


def withdraw(client: "redis.Redis", gateway: str = "gateway-1", **fields: object) -> None:
    """Write an override as a gateway does."""
    override = msgspec.structs.replace(
        contract.Override(
            gateway=gateway,
            endpoint="flights",
            rollout=ROLLOUT,
            variant="canary",
            fallback_to="stable",
            wealth=123.0,
            units=9,
            generation=1,
            at=1_700_000_000.0,
            reason="wealth passed 100",
        ),
        **fields,
    )
    field = f"{gateway}:{override.key}"
    client.hset(contract.OVERRIDES_KEY, field, msgspec.json.encode(override))


def collect(after_s: float = 0) -> None:
    services.collect_gateway_reports(now=NOW + timedelta(seconds=after_s))


def verbs(key: str = "gateway:gateway-1") -> list[str]:
    return [event.verb for event in Event.objects.for_object(key)][::-1]


def ramp() -> Endpoint:
    endpoint, one = make_endpoint(), deployed(1)
    route(endpoint, stable(one, 9_000), canary(deployed(2), 1_000), rollout_key=ROLLOUT)
    return endpoint


def test_report__what_gateways_leave_out__told_of_the_endpoint_concerned(
    redis_client: "redis.Redis",
) -> None:
    endpoint, other = make_endpoint(), make_endpoint("other")
    route(endpoint, stable(deployed(1)))
    report(
        redis_client,
        breakers={"flights/stable": "half_open", "flights-x/stable": "open"},
        replicas_out=("127.0.0.1:8001", "10.0.0.9:8001"),
        caches_off={"flights": 0.031, "flights-x": 0.0},
    )
    services.collect_gateway_reports(now=NOW)
    assert fleet(now=NOW)[0].replicas_out == ("127.0.0.1:8001", "10.0.0.9:8001")
    assert [(item.subject, item.state) for item in troubles_of(endpoint)] == [
        ("stable", "breaker half_open"),
        ("cache: 3.1 % of rows were hits", "off"),
        ("127.0.0.1:8001", "server out"),
    ]
    assert troubles_of(other) == []
    report(redis_client)
    services.collect_gateway_reports(now=NOW)
    assert troubles_of(endpoint) == []


def test_collect__new_gateway__appears_once(redis_client: "redis.Redis") -> None:
    report(redis_client)
    collect()
    collect(1)
    assert verbs() == ["gateway.appeared"]
    assert [(item.name, item.state) for item in fleet()] == [("gateway-1", "live")]


def test_collect__silent_gateway__disappears_once_and_returns(redis_client: "redis.Redis") -> None:
    report(redis_client)
    collect()
    redis_client.delete(contract.REPORT_KEY + "gateway-1")
    for second in (5, 16, 17):
        collect(second)
    assert fleet()[0].state == "gone"
    report(redis_client)
    collect(20)
    assert verbs() == ["gateway.appeared", "gateway.disappeared", "gateway.appeared"]


def test_collect__another_boot__restarted(redis_client: "redis.Redis") -> None:
    report(redis_client)
    collect()
    report(redis_client, boot="b2")
    collect(1)
    assert verbs()[-1] == "gateway.restarted"


def test_collect__generation_old_for_long__lags_then_catches_up(
    redis_client: "redis.Redis",
) -> None:
    endpoint = ramp()
    route(endpoint, stable(deployed(3)))
    report(redis_client, generation=1)
    now = timezone.now()
    for seconds in (1, 11):
        services.collect_gateway_reports(now=now + timedelta(seconds=seconds))
    assert fleet()[0].behind == 1
    report(redis_client, generation=2)
    services.collect_gateway_reports(now=now + timedelta(seconds=12))
    assert verbs() == ["gateway.appeared", "gateway.lagging", "gateway.caught_up"]


def test_collect__garbage_in_redis__others_still_taken(redis_client: "redis.Redis") -> None:
    redis_client.set(contract.REPORT_KEY + "bad", b"{")
    redis_client.hset(contract.OVERRIDES_KEY, "bad", b"[]")
    report(redis_client)
    collect()
    assert [row.gateway for row in GatewayReport.objects.all()] == ["gateway-1"]


def test_collect__redis_away__nobody_is_called_gone(
    redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    report(redis_client)
    collect()
    monkeypatch.setattr("apps.routing.services.fleet.client", unreachable)
    collect(60)
    assert fleet()[0].state == "live"


def unreachable() -> "redis.Redis":
    raise redis.ConnectionError("away")


def test_collect__override__told_to_the_rollout_once(redis_client: "redis.Redis") -> None:
    ramp()
    withdraw(redis_client)
    collect()
    collect(1)
    event = Event.objects.get(verb="gateway.override_reported")
    assert event.object_key == ROLLOUT
    assert isinstance(event.after, dict)
    assert (event.after["variant"], event.after["gateway"]) == ("canary", "gateway-1")
    assert event.after["evidence"]["wealth"] == 123.0


def test_collect__same_override_of_two_gateways__told_of_both(
    redis_client: "redis.Redis",
) -> None:
    ramp()
    withdraw(redis_client)
    withdraw(redis_client, "gateway-2")
    collect()
    assert Event.objects.filter(verb="gateway.override_reported").count() == 2


def test_collect__override_of_unknown_endpoint__left_out(redis_client: "redis.Redis") -> None:
    withdraw(redis_client, endpoint="ghost")
    collect()
    assert not Override.objects.exists()


def test_acknowledge__reported__spec_says_so_and_nobody_moves(
    redis_client: "redis.Redis",
) -> None:
    endpoint = ramp()
    withdraw(redis_client)
    collect()
    count = services.acknowledge_override(
        actor=operator(), endpoint=endpoint, rollout_key=ROLLOUT, variant="canary", reason="seen"
    )
    endpoint.refresh_from_db()
    assert (count, endpoint.revision) == (1, 1)
    spec = read_spec(endpoint.digest)
    assert spec.acknowledged_overrides == (f"{ROLLOUT}:canary",)
    index = publication.current_index()
    assert index is not None
    assert index.generation == 2


def test_acknowledge__gateway_has_forgotten__spec_forgets_too(
    redis_client: "redis.Redis",
) -> None:
    endpoint = ramp()
    withdraw(redis_client)
    collect()
    services.acknowledge_override(
        actor=operator(), endpoint=endpoint, rollout_key=ROLLOUT, variant="canary", reason="seen"
    )
    report(redis_client)
    collect(1)
    assert not redis_client.exists(contract.OVERRIDES_KEY)
    generation = route(endpoint, stable(deployed(3)))
    assert read_spec(generation.digest).acknowledged_overrides == ()


def test_redis_wiped__gateway_still_holds_its_override__not_cleared(
    redis_client: "redis.Redis",
) -> None:
    ramp()
    withdraw(redis_client)
    collect()
    redis_client.flushall()
    report(redis_client, overrides=(f"{ROLLOUT}:canary",))
    collect(1)
    assert Override.objects.get().cleared_at is None


def test_acknowledge__never_reported__not_found() -> None:
    endpoint = ramp()
    with pytest.raises(NotFound):
        services.acknowledge_override(
            actor=system("x"), endpoint=endpoint, rollout_key=ROLLOUT, variant="a", reason="x"
        )


def test_api__override_acknowledged__listed_with_who(
    redis_client: "redis.Redis", calling: Caller
) -> None:
    ramp()
    withdraw(redis_client)
    collect()
    api = calling(operator())
    body = {"rollout": ROLLOUT, "variant": "canary", "reason": "seen"}
    path = "/api/v1/endpoints/flights/overrides"
    assert api.post(f"{path}/acknowledge", body, format="json").status_code == 200
    assert api.get(path).json()["results"][0]["acknowledged_by"] == "user:olga"


def test_collect__override_newer_than_the_report__kept(redis_client: "redis.Redis") -> None:
    ramp()
    withdraw(redis_client, at=NOW.timestamp())
    report(redis_client)
    collect(1)
    assert Override.objects.get().cleared_at is None
    assert redis_client.exists(contract.OVERRIDES_KEY)
