"""Counts in Postgres equal what the clients saw, whatever is killed on the way.

`pytest -m proof -rP tests/chaos` prints the figures of the longer runs.
"""

import random
import time

import pytest

from apps.monitoring.models import DeadBatch, IngestedBatch, PredictionRow
from contracts.routing import EndpointSpec
from dataplane.gateway.units import UnitHasher
from tests.chaos import books
from tests.chaos.books import Design
from tests.chaos.crowd import Crowd
from tests.chaos.world import World, eventually

AWAY_S = 2.5
Outage = tuple[bool, float]  # whether Valkey's data are lost as well, and how long it is away
LONG = [(bool(number % 2), 1.0 + number % 7) for number in range(8)]


def agree(world: World, spec: EndpointSpec, crowd: Crowd) -> None:
    """Every book says the same: requests, errors by kind, rejections, exposures, failures."""
    design, answers = Design(spec), crowd.answers
    units = UnitHasher(world.environment["UNIT_HASH_KEY"])
    world.settle()
    assert books.counted() == design.books(answers)
    assert books.rolled_up(60) == books.rolled_up(3_600) == books.counted()
    assert books.counted_rejections() == books.rejections(answers)
    served = {each.user for each in answers if each.kind != "rejected"}
    assert books.exposed() == {units.digest(u).hex(): design.variant(u) for u in served}
    assert books.failed_units() == design.failed_units(answers, units)
    assert design.contradictions(answers) == []
    assert not DeadBatch.objects.exists()
    print(f"answers={len(answers)} batches={IngestedBatch.objects.count()}")


@pytest.mark.parametrize(
    "outages",
    [
        pytest.param([(False, AWAY_S)], id="killed"),
        pytest.param([(True, AWAY_S)], id="killed-and-wiped"),
        pytest.param([(False, 30.0)], id="half-a-minute", marks=pytest.mark.proof),
        pytest.param(LONG, id="again-and-again", marks=pytest.mark.proof),
    ],
)
def test_redis__killed_during_traffic_and_back__counts_equal_what_the_clients_saw(
    world: World, outages: list[Outage]
) -> None:
    spec = world.split()
    world.serve(spec)
    with Crowd(world.port) as crowd:
        for wipe, seconds in outages:
            eventually(lambda: IngestedBatch.objects.exists())
            crowd.go_on(answers=300)
            world.kill_valkey(wipe=wipe)
            crowd.go_on(seconds=seconds, answers=300)
            world.start_valkey()
            crowd.go_on(answers=300)
    assert crowd.surprises() == []
    agree(world, spec, crowd)


@pytest.mark.parametrize(
    ("kills", "how"),
    [
        (2, "SIGKILL"),
        pytest.param(12, "SIGKILL", marks=pytest.mark.proof),
        pytest.param(6, "SIGTERM", marks=pytest.mark.proof),
    ],
)
def test_gateway__killed_under_load__every_answer_counts_once(
    world: World, kills: int, how: str
) -> None:
    spec = world.split(sample_rate=1.0)
    world.serve(spec)
    with Crowd(world.port) as crowd:
        for _ in range(kills):
            crowd.go_on(answers=300)
            world.kill("gateway") if how == "SIGKILL" else world.end("gateway")
            world.start("gateway")
        crowd.go_on(answers=300)
    world.settle()
    _explain(spec, crowd)
    assert IngestedBatch.objects.values("boot").distinct().count() == kills + 1


def _explain(spec: EndpointSpec, crowd: Crowd) -> None:
    """Every answer is counted, and beyond that only requests whose answer a kill cut off."""
    assert [each for each in crowd.answers if not each.as_planned] == []
    design, counted = Design(spec), books.counted()
    answered = design.books(crowd.answers)
    assert answered - counted == books.Books()
    cut_off = books.Books(design.entry(user, kind) for user, kind in crowd.cut_off)
    assert counted - answered <= cut_off
    ids = list(PredictionRow.objects.values_list("prediction_id", flat=True))
    told = [each.body["prediction_id"] for each in crowd.answers if each.status == 200]
    assert len(ids) == len(set(ids)) == counted.total()
    assert set(told) <= set(ids)
    assert len(told) == len(set(told))
    assert books.rolled_up(60) == books.rolled_up(3_600) == counted
    beyond = (counted - answered).total()
    print(f"answers={len(crowd.answers)} cut_off={len(crowd.cut_off)} cut_off_counted={beyond}")


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.proof)])
def test_ingest_and_recorder__killed_again_and_again__counts_equal_what_the_clients_saw(
    world: World, kills: int
) -> None:
    spec, chance = world.split(), random.Random(kills)
    world.serve(spec)
    with Crowd(world.port) as crowd:
        for _ in range(kills):
            _wait_for_progress()
            time.sleep(chance.uniform(0, 0.4))
            world.kill("ingest")
            world.kill("recorder")
            world.start("recorder", "ingest")
        crowd.go_on(answers=100)
    assert crowd.surprises() == []
    agree(world, spec, crowd)


def _wait_for_progress() -> None:
    """Until one more batch is committed."""
    before = IngestedBatch.objects.count()
    eventually(lambda: IngestedBatch.objects.count() > before)


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything__killed_at_random__every_answer_counts_once(world: World, seed: int) -> None:
    spec, chance = world.split(sample_rate=1.0), random.Random(seed)
    world.serve(spec)
    with Crowd(world.port) as crowd:
        for _ in range(12):
            crowd.go_on(seconds=chance.uniform(0, 2))
            _kill_some(world, chance)
        crowd.go_on(answers=300)
    world.settle()
    _explain(spec, crowd)


def _kill_some(world: World, chance: random.Random) -> None:
    """Several at once, and back in another order."""
    victims = chance.sample(("valkey", "gateway", "recorder", "ingest"), k=chance.randint(1, 4))
    for name in victims:
        if name == "valkey":
            world.kill_valkey(wipe=chance.random() < 0.5)
        else:
            world.kill(name)
    time.sleep(chance.uniform(0, 2))
    for name in chance.sample(victims, k=len(victims)):
        if name == "valkey":
            world.start_valkey()
        else:
            world.start(name)
