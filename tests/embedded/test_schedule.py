"""The order of a start."""

import threading

import pytest

from embedded import schedule
from embedded.schedule import Job


class Recorder:
    """Jobs that note when they run."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def job(self, name: str, *needs: str) -> Job:
        return Job(name, frozenset(needs), lambda _cancelled: self.order.append(name))


def test_run__chain__in_order() -> None:
    recorder = Recorder()
    schedule.run([recorder.job("c", "b"), recorder.job("b", "a"), recorder.job("a")])
    assert recorder.order == ["a", "b", "c"]


def test_run__need_that_is_no_job__counts_as_met() -> None:
    recorder = Recorder()
    schedule.run([recorder.job("mlflow", "postgres")])
    assert recorder.order == ["mlflow"]


def test_run__independent_jobs__side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)
    jobs = [Job(name, frozenset(), lambda _: _meet(meeting)) for name in ("a", "b")]
    schedule.run(jobs)
    assert meeting.broken is False


def test_run__failure__cancels_others_and_starts_no_more() -> None:
    recorder = Recorder()
    waits = Job("waits", frozenset(), lambda cancelled: _note(recorder, cancelled.wait(10)))
    jobs = [waits, Job("fails", frozenset(), _fail), recorder.job("later", "fails")]
    with pytest.raises(RuntimeError, match="no luck"):
        schedule.run(jobs)
    assert recorder.order == ["cancelled"]


def test_run__circle__refused() -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match="circle: a, b"):
        schedule.run([recorder.job("a", "b"), recorder.job("b", "a")])


def test_reverse__needs__become_those_who_need() -> None:
    needs = {"web": frozenset({"postgres"}), "postgres": frozenset[str]()}
    assert schedule.reverse(needs) == {"web": frozenset(), "postgres": frozenset({"web"})}


def _meet(barrier: threading.Barrier) -> None:
    barrier.wait()


def _note(recorder: Recorder, cancelled: bool) -> None:
    recorder.order.append("cancelled" if cancelled else "timed out")


def _fail(_cancelled: threading.Event) -> None:
    raise RuntimeError("no luck")
