"""Postgres is put back to an earlier state while the data plane goes on."""

from collections.abc import Iterator

import pytest

from apps.accounts.access import Role
from apps.events.models import Event
from apps.routing import services
from tests.chaos import books
from tests.chaos.backup import Backup
from tests.chaos.crowd import Answer, Crowd
from tests.chaos.table import Table
from tests.chaos.world import World, eventually
from tests.registry.factories import person


@pytest.fixture
def backups(governed_world: World) -> Iterator[list[Backup]]:
    """Those to be dropped in the end."""
    made: list[Backup] = []
    yield made
    for backup in made:
        backup.drop()


def test_postgres__restored_from_a_backup__gateways_serve_on_and_everything_later_is_counted(
    governed_world: World, backups: list[Backup]
) -> None:
    world, table = governed_world, Table(governed_world.triton)
    world.start("gateway", "recorder", "ingest")
    first = table.settle_on_one().number
    world.wait_for(first)
    before = _traffic(world, table)
    backups.append(Backup(world.services))
    later = table.ramp(5_000).number
    world.wait_for(later)
    lost = _traffic(world, table)
    backups[0].restore()
    with Crowd(world.port, key=table.key, bad=False) as crowd:
        assert services.publish_latest().outcome == "older"
        crowd.go_on(answers=100)
        services.advance_epoch(actor=person("root", Role.ADMIN), reason="restored")
        eventually(lambda: (told := world.report()) and told.epoch == 2)
        crowd.go_on(answers=100)
    world.settle()
    assert crowd.surprises() == []
    assert {each.body["generation"] for each in lost} == {later}
    assert {each.version for each in crowd.answers[-1:]} == {"rig/1"}
    assert Event.objects.filter(verb="routing.epoch_advanced").exists()
    assert books.counted().total() == len(before) + len(crowd.answers)


def _traffic(world: World, table: Table) -> list[Answer]:
    """Some answers, all of them counted when this returns."""
    with Crowd(world.port, key=table.key, bad=False) as crowd:
        crowd.go_on(seconds=1.0, answers=100)
    assert crowd.surprises() == []
    world.settle()
    return crowd.answers
