"""What clients get while the models' server dies, or answers slowly.

`pytest -m proof -rP tests/chaos` prints the figures.
"""

import time
from collections.abc import Sequence

import pytest

from benchmarks import rig
from contracts.policy import Breaker, Cache, DefaultPrediction, Fallback, Policy
from contracts.routing import EndpointSpec, Limits
from tests.chaos import books
from tests.chaos.crowd import Crowd
from tests.chaos.slow_line import SlowLine
from tests.chaos.world import PATIENT, World, eventually

pytestmark = pytest.mark.proof

DEFAULT = DefaultPrediction(prediction=0.0, label="on_time")
BACK_S = 5.0
DEADLINE_MS, SLOW_MS, INJECTED_S = 250, 100.0, 0.5


def test_triton__killed_under_load__a_chain_answers_and_models_are_back_in_seconds(
    world_with_triton: World,
) -> None:
    world = world_with_triton
    policy = Policy(fallback=Fallback(default=DEFAULT))
    spec = rig.endpoint([rig.variant(1, world.triton)], limits=PATIENT, policy=policy)
    world.serve(spec)
    with Crowd(world.port, bad=False) as crowd:
        for _ in range(3):
            crowd.go_on(answers=200)
            world.kill_triton()
            eventually(lambda: crowd.newest.body["fallback"] == "default")
            crowd.go_on(answers=200)
            world.start_triton()
            back_at = time.monotonic()
            eventually(lambda: crowd.newest.body["fallback"] is None)
            assert time.monotonic() - back_at < BACK_S
            print(f"back_s={time.monotonic() - back_at:.2f}")
    assert crowd.surprises() == []
    _count(world, spec, crowd)


def _count(world: World, spec: EndpointSpec, crowd: Crowd) -> None:
    world.settle()
    stood_in = books.fallbacks(crowd.answers)
    counted = books.counted()
    assert counted.total() == len(crowd.answers)
    assert counted[1, "rig/1", "stable", "ok"] == len(crowd.answers)
    assert books.counted_fallbacks() == stood_in
    print(f"answers={len(crowd.answers)} fallbacks={dict(stood_in)} spec={spec.name}")


def test_triton__away_behind_each_chain__every_kind_is_counted_as_the_clients_saw_it(
    world_with_triton: World, models: str
) -> None:
    world = world_with_triton
    variants = [
        rig.variant(1, world.triton),
        rig.variant(2, models, key="reserve", role="fallback"),
    ]
    chains = [
        Policy(cache=Cache(ttl_s=0.05, shared=False)),
        Policy(fallback=Fallback(variant="reserve")),
        Policy(fallback=Fallback(default=DEFAULT)),
        Policy(),
    ]
    specs = [
        rig.endpoint(variants, limits=PATIENT, policy=policy, phase=phase)
        for phase, policy in enumerate(chains, start=1)
    ]
    world.serve(specs[0])
    publisher = world.publisher()
    with Crowd(world.port, bad=False) as crowd:
        crowd.go_on(answers=100)
        world.kill_triton()
        crowd.go_on(answers=200)
        for generation, spec in enumerate(specs[1:], start=2):
            publisher.publish(spec, generation=generation)
            world.wait_for(generation)
            crowd.go_on(answers=200)
    publisher.client.close()
    world.settle()
    seen = books.fallbacks(crowd.answers)
    assert set(seen) == {"stale", "variant", "default", "503"}
    assert crowd.cut_off == []
    assert books.counted_fallbacks() == seen
    print(f"answers={len(crowd.answers)} kinds={dict(seen)}")


def test_triton__half_a_second_late__breaker_opens_and_the_deadline_holds(world: World) -> None:
    policy = Policy(
        breaker=Breaker(slow_ms=SLOW_MS, minimum=10), fallback=Fallback(default=DEFAULT)
    )
    limits = Limits(deadline_ms=DEADLINE_MS)
    with SlowLine(world.triton) as line:
        spec = rig.endpoint([rig.variant(1, line.address)], limits=limits, policy=policy)
        world.serve(spec)
        with Crowd(world.port, bad=False) as crowd:
            crowd.go_on(answers=200)
            line.delay_s = INJECTED_S
            before = len(crowd.answers)
            eventually(lambda: _breakers(world))
            crowd.go_on(answers=1_000)
            slow = crowd.answers[before:]
            line.delay_s = 0.0
            eventually(lambda: not _breakers(world))
            eventually(lambda: crowd.newest.body["fallback"] is None)
    assert crowd.surprises() == []
    p99 = _quantile([each.body["latency_ms"] for each in slow], 0.99)
    print(f"answers={len(crowd.answers)} p99_ms={p99:.1f} deadline_ms={DEADLINE_MS}")
    assert p99 <= DEADLINE_MS + 10


def _breakers(world: World) -> object:
    told = world.report()
    return told.breakers if told else {}


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]
