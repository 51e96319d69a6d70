"""Ticks that race, and processes that die: each step is applied once, none is left half done."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.deployments import services
from apps.deployments.models import Rollout
from apps.deployments.rollout import Step
from apps.deployments.services import ramping
from apps.events.models import Event
from apps.routing.models import Generation
from embedded.private import PrivateServices
from tests.deployments.ramps import Ramp, planned, started
from tests.routing.factories import operator

pytestmark = pytest.mark.django_db(transaction=True)
CHECKOUT = Path(__file__).parents[2]


class Killed(BaseException):
    """The process ends here."""


def at_once(*calls: Callable[[], object]) -> list[BaseException]:
    """Run the calls in threads, each with a connection of its own; what they raised."""
    barrier, raised = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            call()
        except BaseException as error:  # handed to the test
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return raised


def ticking(ramp: Ramp, seconds: float) -> Callable[[], object]:
    now = ramp.now + timedelta(seconds=seconds)
    return lambda: services.tick_rollout(rollout_id=ramp.rollout.pk, now=now)


def healthy(ramp: Ramp) -> None:
    ramp.serve("canary", 200)
    ramp.serve("stable", 2_000)


def steps_taken(ramp: Ramp) -> list[int]:
    """Candidate weights of the rollout's phases, in order."""
    phases = ramp.endpoint.phases.filter(rollout_key=ramp.rollout.key).order_by("number")
    return [phase.weights()["canary"] for phase in phases]


def test_two_beats_at_once__each_step__applied_once() -> None:
    ramp = planned()
    for expected in ([500], [500, 5_000], [500, 5_000, 10_000]):
        raised = at_once(*[ticking(ramp, 61)] * 4)
        assert (raised, steps_taken(ramp)) == ([], expected)
        ramp.now += timedelta(seconds=61)
        ramp.fresh()
        healthy(ramp)


def test_two_beats_at_once__failing_candidate__rolled_back_in_one_generation() -> None:
    ramp = started()
    ramp.serve("canary", 200, errors=100)
    ramp.fail_units("canary", 30)
    before = Generation.objects.count()
    assert at_once(*[ticking(ramp, 1)] * 4) == []
    assert ramp.fresh().state == "rolled_back"
    assert Generation.objects.count() == before + 1
    told = Event.objects.for_object(ramp.rollout.key).filter(verb="rollout.rolled_back")
    assert told.count() == 1


def test_person_and_tick_at_once__rollback__wins_or_follows() -> None:
    ramp = started()
    healthy(ramp)
    raised = at_once(
        ticking(ramp, 61),
        lambda: services.roll_back(actor=operator(), rollout=ramp.rollout, reason="now"),
    )
    assert raised == []
    assert ramp.fresh().state == "rolled_back"
    assert ramp.weights() == {"stable": 10_000}


def test_gateway_and_person_at_once__both_roll_back__once() -> None:
    ramp = started()
    before = Generation.objects.count()
    at_once(
        lambda: services.roll_back_on_evidence(
            rollout_id=ramp.rollout.pk, evidence="gateway-1 withdrew", now=timezone.now()
        ),
        lambda: services.roll_back_on_evidence(
            rollout_id=ramp.rollout.pk, evidence="gateway-2 withdrew", now=timezone.now()
        ),
    )
    assert ramp.fresh().state == "rolled_back"
    assert Generation.objects.count() == before + 1


@pytest.mark.parametrize("line", ["_swap", "write_verdicts", "follow", "_record"])
def test_killed_within_a_transition__nothing_happened_and_the_next_tick_goes_on(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    ramp = started()
    healthy(ramp)
    generations, events = Generation.objects.count(), Event.objects.count()
    original = getattr(ramping, line)

    def dies(*args: Any, **values: Any) -> Any:
        original(*args, **values)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ramping, line, dies)
        with pytest.raises(Killed):
            ramp.tick(61)
    assert (Generation.objects.count(), Event.objects.count()) == (generations, events)
    assert ramp.fresh().step_index == 0
    assert ramp.tick().step_index == 1
    assert steps_taken(ramp) == [500, 5_000]


@pytest.fixture
def celery(services: PrivateServices, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts real Celery processes on the test's database, as the role that owns nothing."""
    database = str(connection.settings_dict["NAME"])
    environment = os.environ | {
        "DATABASE_URL": services.app_url(database),
        "SWITCHYARD_HOME": str(tmp_path),
        "PYTHONPATH": str(CHECKOUT),
    }
    children: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        command = (sys.executable, "-m", "celery", "-A", "controlplane", *arguments)
        with (tmp_path / "celery.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                env=environment,
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        children.append(child)
        return child

    yield start
    for child in children:
        kill(child)


def kill(child: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the process and all of its own."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(10)


WORKER = ("worker", "-Q", "deployments", "--concurrency=1", "--without-gossip", "--without-mingle")


@pytest.mark.parametrize(
    "kill_at", [{1}, pytest.param({0, 1, 2, 3}, marks=pytest.mark.proof)], ids=["once", "each step"]
)
def test_worker_killed_mid_ramp__the_next_one_goes_on(
    celery: Callable[..., "subprocess.Popen[bytes]"], redis_client: Any, kill_at: set[int]
) -> None:
    ramp = planned(
        steps=[
            Step(weight=weight, hold_s=0.5, minimum_requests=50)
            for weight in (500, 2_000, 5_000, 10_000)
        ]
    )
    celery("beat")
    worker = celery(*WORKER)
    killed_at: set[int] = set()
    deadline = time.monotonic() + 120
    while ramp.fresh().state != "completed":
        assert time.monotonic() < deadline, ramp.rollout.state
        if ramp.rollout.state == "progressing":
            ramp.now = timezone.now()
            healthy(ramp)
        if ramp.rollout.step_index in kill_at - killed_at:
            killed_at.add(ramp.rollout.step_index)
            kill(worker)
            worker = celery(*WORKER)
        time.sleep(0.2)
    assert killed_at == kill_at
    assert steps_taken(ramp) == [500, 2_000, 5_000, 10_000]
    told = Event.objects.for_object(ramp.rollout.key).order_by("id").values_list("verb", flat=True)
    assert list(told) == [
        "rollout.created",
        "rollout.started",
        *["rollout.step_passed"] * 3,
        "rollout.completed",
    ]
    assert Rollout.objects.unfinished().count() == 0
