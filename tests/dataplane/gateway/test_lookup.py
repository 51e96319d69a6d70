"""Features that the store knows: read with one pipeline a batch, defaults when it cannot be."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from benchmarks import rig
from contracts.policy import Cache, Lookup, LookupFeature, Policy
from contracts.records import Record
from contracts.routing import EndpointSpec
from tests.dataplane.gateway.site import Reply, Site, eventually

LOOKED_UP = ("x7", "code", "carrier")
LOOKUP = Lookup(
    features=(
        LookupFeature(name="x7", default=0.0),
        LookupFeature(name="code", default=1),
        LookupFeature(name="carrier", default="AA"),
        LookupFeature(name="of another version"),
    ),
    budget_ms=2_000.0,
)
AWAY_S = 1.5
IN_FLIGHT = 4


def endpoint(site: Site, **lookup: Any) -> EndpointSpec:
    policy = Policy(lookup=msgspec.structs.replace(LOOKUP, **lookup))
    return site.endpoint(sample_rate=1.0, policy=policy)


def ask(site: Site, user: str | None = "42", **features: Any) -> Reply:
    """A request without the looked-up features, except those given."""
    sent = {name: value for name, value in rig.example().items() if name not in LOOKED_UP}
    body: dict[str, Any] = {"model": "rig", "features": {**sent, **features}}
    return site.post("/v1/predict", body | ({"user_id": user} if user else {}))


def store(site: Site, user: str = "42", **values: float | str) -> None:
    mapping: dict[Any, Any] = {**values}
    site.redis.hset(f"user:{user}", mapping=mapping)


def prediction(reply: Reply) -> float:
    assert reply.status == 200, reply.body
    return float(reply.json()["prediction"])


def records(site: Site, count: int) -> list[Record]:
    """The records, once there are so many."""
    eventually(lambda: site.requests_counted() == count)
    found = [record for batch in site.batches() for record in batch.records]
    return sorted(found, key=lambda record: record.at)


def looked_up(site: Site) -> dict[str, int]:
    """The metric by result."""
    text = site.get("/metrics").body.decode()
    prefix = 'switchyard_gateway_lookups_total{endpoint="rig",result="'
    lines = [line.removeprefix(prefix) for line in text.splitlines() if line.startswith(prefix)]
    return {line.partition('"')[0]: int(line.rpartition(" ")[2]) for line in lines}


def test_lookup__stored_features__are_what_the_model_gets_and_what_is_recorded(site: Site) -> None:
    site.serve(endpoint(site))
    store(site, x7=3.5, code=2, carrier="DL")
    sent = prediction(site.predict("42", x7=3.5, code=2, carrier="DL"))
    assert prediction(ask(site)) == pytest.approx(sent)
    record = records(site, 2)[-1]
    assert {name: record.features[name] for name in LOOKED_UP} == {
        "x7": 3.5,
        "code": 2,
        "carrier": "DL",
    }
    assert record.lookup == ""
    assert looked_up(site) == {"hit": 1}


def test_lookup__what_the_client_sends__wins(site: Site) -> None:
    site.serve(endpoint(site))
    store(site, x7=3.5, code=2, carrier="DL")
    sent = prediction(site.predict("42", x7=-1.0, code=2, carrier="DL"))
    assert prediction(ask(site, x7=-1.0)) == pytest.approx(sent)


@pytest.mark.parametrize("stored", [{}, {"x7": "1e9", "code": "2.5", "carrier": "ZZ"}])
def test_lookup__missing_or_misfit__default_counted_and_marked(
    site: Site, stored: dict[str, str]
) -> None:
    site.serve(endpoint(site))
    if stored:
        store(site, **stored)
    sent = prediction(site.predict("42", x7=0.0, code=1, carrier="AA"))
    assert prediction(ask(site)) == pytest.approx(sent)
    assert records(site, 2)[-1].lookup == "missed"
    assert looked_up(site) == {"miss": 1}
    assert sum(each.lookup_misses for batch in site.batches() for each in batch.counters) == 1


def test_lookup__nobody_named__nothing_is_read(site: Site) -> None:
    site.serve(endpoint(site))
    site.redis.config_resetstat()
    prediction(ask(site, user=None))
    assert "cmdstat_hmget" not in site.redis.info("commandstats")
    assert looked_up(site) == {"miss": 1}


def test_lookup__key_of_another_type__is_a_miss(site: Site) -> None:
    site.serve(endpoint(site))
    site.redis.set("user:42", "text")
    prediction(ask(site))
    assert looked_up(site) == {"miss": 1}


def test_lookup__of_a_batch__is_one_read_of_each_unit(site: Site) -> None:
    """Rows that wait behind a hanging Triton go out together, two units among them."""
    site.serve(endpoint(site))
    store(site, "1", x7=1.0, code=1, carrier="AA")
    prediction(ask(site, "1"))
    site.redis.config_resetstat()
    with ThreadPoolExecutor(21) as pool, site.hanging_triton():
        for number in range(21):
            pool.submit(ask, site, str(number % 2))
        eventually(lambda: looked_up(site).get("miss", 0) >= IN_FLIGHT // 2)
    asked = site.redis.info("commandstats")["cmdstat_hmget"]["calls"]
    assert sum(looked_up(site).values()) == 22
    assert asked < 21


def test_lookup__store_paused__defaults_within_the_budget_and_at_once_after(site: Site) -> None:
    site.serve(endpoint(site, budget_ms=20.0))
    store(site, x7=3.5, code=2, carrier="DL")
    prediction(ask(site))
    default = prediction(site.predict("42", x7=0.0, code=1, carrier="AA"))
    site.redis.client_pause(int(AWAY_S * 1_000))
    replies = [ask(site) for _ in range(20)]
    assert [prediction(reply) for reply in replies] == pytest.approx([default] * 20)
    latencies = [float(reply.json()["latency_ms"]) for reply in replies]
    assert latencies[0] >= 20.0
    counts: Counter[str] = Counter(record.lookup for record in records(site, 22))
    assert counts["unread"] == 20
    assert looked_up(site) == {"hit": 1, "late": 20}


def test_lookup__store_away__served_with_defaults_and_found_again(site: Site) -> None:
    closed = site.services.ports["S3"]  # nothing listens there
    site.serve(endpoint(site), GATEWAY_STORE_URL=f"redis://127.0.0.1:{closed}/0")
    default = prediction(site.predict("42", x7=0.0, code=1, carrier="AA"))
    assert prediction(ask(site)) == pytest.approx(default)
    assert looked_up(site) == {"away": 1}


def test_lookup__behind_a_cache__each_user_gets_an_answer_of_their_own(site: Site) -> None:
    policy = Policy(lookup=LOOKUP, cache=Cache(shared=False))
    site.serve(site.endpoint(policy=policy))
    store(site, "1", x7=3.0, code=2, carrier="DL")
    store(site, "2", x7=-3.0, code=2, carrier="DL")
    first, second = prediction(ask(site, "1")), prediction(ask(site, "2"))
    assert first != pytest.approx(second)
    again = ask(site, "1")
    assert again.json()["cache_hit"]
    assert prediction(again) == pytest.approx(first)


def test_lookup__store_refuses__is_away(site: Site) -> None:
    site.serve(endpoint(site))
    site.redis.acl_setuser("default", enabled=True, commands=["-hmget"])
    try:
        prediction(ask(site))
    finally:
        site.redis.acl_setuser("default", enabled=True, commands=["+hmget"])
    assert looked_up(site) == {"away": 1}


def test_lookup__unit_ids__are_not_in_the_log(site: Site) -> None:
    site.serve(endpoint(site))
    prediction(ask(site, "somebody-in-particular"))
    site.stop()
    assert "somebody-in-particular" not in site.log()
