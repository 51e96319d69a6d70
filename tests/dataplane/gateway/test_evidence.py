"""Shared evidence: three gateways are as quick as one, and no more often wrong."""

import heapq
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from contracts.routing import Guardrail
from dataplane.gateway.evidence import PATIENCE_S, STREAM_KEY, Finding, Watch
from embedded.ports import free
from tests.dataplane.gateway.site import Site, eventually

ALPHA = 0.01
SPEC = Guardrail(rollout="r1", candidate="canary", baseline="stable", alpha=ALPHA)
KEY = (SPEC.rollout, SPEC.candidate)
SHARE = 0.05
REQUESTS_PER_S = 200
LAG_S = 0.01
Failing = Iterator[tuple[float, int, bool]]  # seconds, unit, whether in the candidate


def finding(unit: int, in_candidate: bool = True) -> Finding:
    return Finding(KEY, unit.to_bytes(8, "big"), in_candidate, SHARE)


def test_watch__unit_by_both_ways__counts_once() -> None:
    watch = Watch(SPEC)
    for _ in range(2):
        watch.take(finding(1))
    assert watch.wealth.units == 1


def test_watch__wealth_passes__says_so_once() -> None:
    watch = Watch(SPEC)
    assert [watch.take(finding(unit)) for unit in range(5)] == [False, False, True, False, False]


@dataclass
class Fleet:
    """Gateways that share a stream, each with a lag of its own; in `cut` they do not hear it."""

    rng: random.Random
    size: int = 3
    cut: tuple[float, float] = (0.0, 0.0)
    at: float = 0.0
    on_the_way: list[tuple[float, Finding]] = field(default_factory=list)
    listed: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.watches = [Watch(SPEC) for _ in range(self.size)]
        self.seen: list[set[int]] = [set() for _ in range(self.size)]

    def fails(self, at: float, unit: int, in_candidate: bool) -> None:
        """A request of the unit fails at whichever gateway it came to."""
        self._deliver(at)
        gateway = self.rng.randrange(self.size)
        if unit in self.seen[gateway]:
            return
        self.seen[gateway].add(unit)
        found, cut_off = finding(unit, in_candidate), self.cut[0] <= at < self.cut[1]
        lag = self.rng.expovariate(1 / LAG_S)
        heapq.heappush(self.on_the_way, ((self.cut[1] if cut_off else at) + lag, found))
        if cut_off or lag > PATIENCE_S:
            self.watches[gateway].take(found)

    def _deliver(self, until: float) -> None:
        while self.on_the_way and self.on_the_way[0][0] <= until:
            found = heapq.heappop(self.on_the_way)[1]
            if found.unit not in self.listed:
                self.listed.add(found.unit)
                for watch in self.watches:
                    watch.take(found)

    def withdrawn(self) -> list[bool]:
        self._deliver(float("inf"))
        return [watch.tripped for watch in self.watches]


def failing(rng: random.Random, *, seconds: float, stable: float, canary: float) -> Failing:
    """Failing requests of users of unequal activity, at these rates."""
    users = 4_000
    place = [rng.random() < SHARE for _ in range(users)]
    activity = [rng.paretovariate(1.2) for _ in range(users)]
    at, most = 0.0, max(stable, canary)
    while True:
        candidates = rng.choices(range(users), weights=activity, k=100)
        for unit in candidates:
            at += rng.expovariate(REQUESTS_PER_S * most)
            if at > seconds:
                return
            if rng.random() * most < (canary if place[unit] else stable):
                yield at, unit, place[unit]


def wrong(runs: int, cut: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Share of runs in which some gateway, and the first one, withdrew a candidate no worse."""
    some = first = 0
    for seed in range(runs):
        fleet = Fleet(random.Random(-seed - 1), cut=cut)
        rates = {"stable": 0.02, "canary": 0.02}
        for event in failing(random.Random(seed), seconds=600, **rates):
            fleet.fails(*event)
        withdrawn = fleet.withdrawn()
        some += any(withdrawn)
        first += withdrawn[0]
    return some / runs, first / runs


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_ville__three_gateways_share__some_one_withdraws_wrongly_within_alpha() -> None:
    some, _ = wrong(1_000)
    print(f"false_withdrawals_of_three={some:.4f}")
    assert some <= 0.0194  # 1 % + 3 sigma of 1,000


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_ville__redis_away_for_half_the_time__each_gateway_is_within_alpha() -> None:
    some, first = wrong(1_000, cut=(60.0, 360.0))
    print(f"false_withdrawals_cut_off some={some:.4f} first={first:.4f}")
    assert first <= 0.0194
    assert some <= 3 * ALPHA + 0.0162  # three sigma of 1,000 at 3 %


def seconds_until_all_withdrew(seed: int, size: int) -> float:
    fleet = Fleet(random.Random(-seed - 1), size=size)
    for event in failing(random.Random(seed), seconds=600, stable=0.003, canary=0.2):
        fleet.fails(*event)
        if all(watch.tripped for watch in fleet.watches):
            return event[0]
    raise AssertionError("nobody withdrew")


def test_power__three_gateways_share__withdraw_with_the_next_failure_after_one_would() -> None:
    one = statistics.median(seconds_until_all_withdrew(seed, 1) for seed in range(31))
    three = statistics.median(seconds_until_all_withdrew(seed, 3) for seed in range(31))
    assert three <= one + 0.5
    assert three < 3.0


def gateways(site: Site, count: int) -> list[Site]:
    """More gateways on the services of `site`, each with its own name, port and state."""
    made = []
    for number in range(2, count + 2):
        state = site.state.parent / f"more-{number}" / "gateway"
        state.parent.mkdir()
        more = Site(site.services, state, site.publisher)
        more.port = free(["GATEWAY_HTTP"])["GATEWAY_HTTP"]
        more.environment |= {
            "GATEWAY_NAME": f"gateway-{number}",
            "GATEWAY_URL": f"http://127.0.0.1:{more.port}",
            "GATEWAY_GRPC_URL": "",
        }
        made.append(more)
    return made


def withdrawn(site: Site) -> bool:
    return "overrides 1" in site.get("/metrics").body.decode()


def canary_users(site: Site) -> list[str]:
    users = (f"user-{number}" for number in range(300))
    return [user for user in users if site.predict(user).json()["variant"] == "canary"]


def test_gateways__each_with_too_little_evidence_alone__withdraw_together(site: Site) -> None:
    spec = site.canary(2_000, guardrails=(SPEC,))
    more = gateways(site, 3)
    site.serve(spec)
    for each in more[:2]:
        each.start()
    fleet = [site, *more[:2]]
    try:
        eventually(lambda: all(each.predict().status == 200 for each in fleet), 20)
        for number, user in enumerate(canary_users(site)[:6]):
            fleet[number % 3].predict(user, code=99)
        eventually(lambda: all(withdrawn(each) for each in fleet))
        assert site.redis.xlen(f"{STREAM_KEY}r1:canary") <= 6
        more[2].start()
        eventually(lambda: withdrawn(more[2]))
    finally:
        for each in more:
            each.stop()
            each.redis.close()


def test_rollout__left_behind__its_stream_runs_out(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(SPEC,)))
    site.predict(canary_users(site)[0], code=99)
    stream = f"{STREAM_KEY}r1:canary"
    eventually(lambda: site.redis.xlen(stream) == 1)
    site.publish(site.endpoint())
    eventually(lambda: 0 < site.redis.ttl(stream) <= 3_600)


def test_override__acknowledged_and_evidence_still_there__is_not_made_again(site: Site) -> None:
    site.serve(site.canary(2_000, guardrails=(SPEC,)))
    for user in canary_users(site)[:5]:
        site.predict(user, code=99)
    eventually(lambda: withdrawn(site))
    site.publish(
        site.canary(2_000, guardrails=(SPEC,), phase=2, acknowledged_overrides=("r1:canary",))
    )
    site.stop()
    site.start()
    eventually(lambda: site.report() is not None)
    user = canary_users(site)[-1]
    site.predict(user, code=99)
    stream = f"{STREAM_KEY}r1:canary"
    eventually(lambda: site.redis.xlen(stream) >= 5)
    assert not withdrawn(site)
