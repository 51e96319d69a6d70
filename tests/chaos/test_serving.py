"""Gateways go on serving by their table, and every answer is the table's."""

import httpx

from apps.routing import selectors
from apps.routing.models import Endpoint, Generation
from benchmarks import rig
from tests.chaos import books
from tests.chaos.books import Design
from tests.chaos.crowd import Answer, Crowd, by_user
from tests.chaos.table import Table
from tests.chaos.world import World

STEPS = (500, 2_000, 5_000, 10_000)


def test_gateway__booted_with_redis_and_django_down__serves_by_its_disk_and_is_counted_later(
    world: World,
) -> None:
    spec = world.split()
    world.start_valkey()
    publisher = world.publisher()
    publisher.publish_clients()
    publisher.publish(spec)
    world.start("gateway")
    world.wait_for(1)
    world.kill("gateway")
    world.kill_valkey(wipe=True)
    world.start("gateway", "recorder")
    with Crowd(world.port) as crowd:
        crowd.go_on(answers=400)
        assert _ready(world) == {"ready": True, "generation": 1}
        assert _ask_as(world, "a key that nobody has") == 401
        world.start_valkey()
        world.start("ingest")
        crowd.go_on(answers=200)
    assert crowd.surprises() == []
    world.settle()
    design = Design(spec)
    assert books.counted() == design.books(crowd.answers)
    assert books.counted_rejections() == books.rejections(crowd.answers) + 1
    assert design.contradictions(crowd.answers) == []
    publisher.publish(spec)
    world.wait_for(2)
    told = world.report()
    assert told is not None
    assert told.source == "redis"
    publisher.client.close()


def _ready(world: World) -> object:
    return httpx.get(f"http://127.0.0.1:{world.port}/readyz").json()


def _ask_as(world: World, key: str) -> int:
    return httpx.post(
        f"http://127.0.0.1:{world.port}/v1/predict",
        json={"model": "rig", "features": rig.example()},
        headers={"Authorization": f"Bearer {key}"},
    ).status_code


def test_ramp__under_load__nobody_fails_and_everybody_gets_what_the_table_says(
    governed_world: World,
) -> None:
    world, table = governed_world, Table(governed_world.triton)
    world.start("gateway", "recorder", "ingest")
    world.wait_for(table.settle_on_one().number)
    with Crowd(world.port, key=table.key, bad=False) as crowd:
        crowd.go_on(answers=100)
        for weight in STEPS:
            _change(world, crowd, table.ramp(weight))
        _change(world, crowd, table.roll_back(2))
        _change(world, crowd, table.roll_back(1))
    assert crowd.surprises() == []
    generations = {row.number: row for row in Generation.objects.select_related("phase")}
    phases = {number: row.phase.number for number, row in generations.items()}
    _check_ramp(crowd, phases)
    _check_assignments(table.endpoint, crowd, generations)
    world.settle()
    assert books.counted() == books.answered_books(crowd.answers, phases)


def _change(world: World, crowd: Crowd, generation: Generation) -> None:
    world.wait_for(generation.number)
    crowd.go_on(answers=100)


def _check_ramp(crowd: Crowd, phases: dict[int, int]) -> None:
    """Phases 1 to 5 ramp up; 6 is as 2 was, 7 as 1."""
    assert {phases[each.body["generation"]] for each in crowd.answers} == set(range(1, 8))
    for answers in by_user(crowd.answers).values():
        numbers = [int(each.body["generation"]) for each in answers]
        assert numbers == sorted(numbers)
        got = {phase: _versions(answers, phases, phase) for phase in range(1, 8)}
        assert all(len(versions) <= 1 for versions in got.values())
        ramp = [version for phase in range(1, 6) for version in got[phase]]
        assert ramp == sorted(ramp)
        assert not got[6] or not got[2] or got[6] == got[2]
        assert got[7] <= {"rig/1"}


def _versions(answers: list[Answer], phases: dict[int, int], phase: int) -> set[str]:
    return {each.version for each in answers if phases[each.body["generation"]] == phase}


def _check_assignments(
    endpoint: Endpoint, crowd: Crowd, generations: dict[int, Generation]
) -> None:
    """Every user got what the archive says that they were assigned by that generation."""
    seen = {
        (each.user, int(each.body["generation"]), each.version, str(each.body["variant"]))
        for each in crowd.answers
    }
    for user, number, version, variant in seen:
        issued_at = generations[number].issued_at
        assigned = selectors.assignment(endpoint, user, issued_at)
        expected = (assigned.generation, assigned.version, assigned.variant)
        assert (number, version, variant) == expected
