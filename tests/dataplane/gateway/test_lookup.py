"""Features that the store knows: read with one pipeline a batch, defaults when it cannot be."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from contracts.policy import Cache
from tests.dataplane.gateway.looking import LOOKED_UP, Looking, prediction
from tests.dataplane.gateway.site import Site, eventually

PAUSE_MS = 1_500
IN_FLIGHT = 4


@pytest.fixture
def looking(served: Site, request: pytest.FixtureRequest) -> Iterator[Looking]:
    """Served, with nothing stored."""
    looking = Looking(served, f"rig-{abs(hash(request.node.name))}")
    looking.serve()
    yield looking
    for key in served.redis.scan_iter("user:*"):
        served.redis.delete(key)


def test_lookup__stored_features__are_what_the_model_gets_and_what_is_recorded(
    looking: Looking,
) -> None:
    looking.store(x7=3.5, code=2, carrier="DL")
    sent = prediction(looking.site.predict(x7=3.5, code=2, carrier="DL"))
    assert prediction(looking.ask()) == pytest.approx(sent)
    (record,) = looking.records(1)
    found = {name: record.features[name] for name in LOOKED_UP}
    assert found == {"x7": 3.5, "code": 2, "carrier": "DL"}
    assert record.lookup == ""
    assert looking.counted() == {"hit": 1}


def test_lookup__what_the_client_sends__wins(looking: Looking) -> None:
    looking.store(x7=3.5, code=2, carrier="DL")
    sent = prediction(looking.site.predict(x7=-1.0, code=2, carrier="DL"))
    assert prediction(looking.ask(x7=-1.0)) == pytest.approx(sent)


@pytest.mark.parametrize("stored", [{}, {"x7": "1e9", "code": "2.5", "carrier": "ZZ"}])
def test_lookup__missing_or_misfit__default_counted_and_marked(
    looking: Looking, stored: dict[str, str]
) -> None:
    if stored:
        looking.store(**stored)
    sent = prediction(looking.site.predict(x7=0.0, code=1, carrier="AA"))
    assert prediction(looking.ask()) == pytest.approx(sent)
    assert [record.lookup for record in looking.records(1)] == ["missed"]
    assert looking.counted() == {"miss": 1}
    counters = [c for batch in looking.site.batches() for c in batch.counters]
    assert sum(c.lookup_misses for c in counters if c.endpoint == looking.name) == 1


def test_lookup__nobody_named__nothing_is_read(looking: Looking) -> None:
    looking.site.redis.config_resetstat()
    prediction(looking.ask(user=None))
    assert "cmdstat_hmget" not in looking.site.redis.info("commandstats")
    assert looking.counted() == {"miss": 1}


def test_lookup__key_of_another_type__is_a_miss(looking: Looking) -> None:
    looking.site.redis.set("user:42", "text")
    prediction(looking.ask())
    assert looking.counted() == {"miss": 1}


def test_lookup__of_a_batch__is_one_read_of_each_unit(looking: Looking) -> None:
    """Rows that wait behind a hanging Triton go out together, two units among them."""
    prediction(looking.ask("1"))
    looking.site.redis.config_resetstat()
    with ThreadPoolExecutor(21) as pool, looking.site.hanging_triton():
        for number in range(21):
            pool.submit(looking.ask, str(number % 2))
        eventually(lambda: looking.counted()["miss"] > IN_FLIGHT // 2)
    asked = looking.site.redis.info("commandstats")["cmdstat_hmget"]["calls"]
    assert looking.counted() == {"miss": 22}
    assert asked < 21


def test_lookup__store_paused__defaults_within_the_budget_and_at_once_after(
    looking: Looking,
) -> None:
    looking.serve(budget_ms=20.0)
    looking.store(x7=3.5, code=2, carrier="DL")
    prediction(looking.ask())
    default = prediction(looking.site.predict(x7=0.0, code=1, carrier="AA"))
    looking.site.redis.client_pause(PAUSE_MS)
    replies = [looking.ask() for _ in range(20)]
    assert [prediction(reply) for reply in replies] == pytest.approx([default] * 20)
    assert float(replies[0].json()["latency_ms"]) >= 20.0
    counts = Counter(record.lookup for record in looking.records(21))
    assert counts == {"": 1, "unread": 20}
    assert looking.counted() == {"hit": 1, "late": 20}


def test_lookup__behind_a_cache__each_user_gets_an_answer_of_their_own(looking: Looking) -> None:
    looking.serve(cache=Cache(shared=False))
    looking.store("1", x7=3.0, code=2, carrier="DL")
    looking.store("2", x7=-3.0, code=2, carrier="DL")
    first, second = prediction(looking.ask("1")), prediction(looking.ask("2"))
    assert first != pytest.approx(second)
    again = looking.ask("1")
    assert again.json()["cache_hit"]
    assert prediction(again) == pytest.approx(first)


def test_lookup__store_refuses__is_away(looking: Looking) -> None:
    redis = looking.site.redis
    redis.acl_setuser("default", enabled=True, commands=["-hmget"])
    try:
        prediction(looking.ask())
    finally:
        redis.acl_setuser("default", enabled=True, commands=["+hmget"])
    assert looking.counted() == {"away": 1}
