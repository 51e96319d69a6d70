"""Run jobs that need one another: each starts as soon as what it needs is done."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """`action` gets an event that is set when another job failed: it should give up then."""

    name: str
    needs: frozenset[str]
    action: Callable[[threading.Event], None]


def run(jobs: Iterable[Job]) -> None:
    """Run all jobs; needs that are no jobs count as met. Raises the first failure."""
    waiting = {job.name: job for job in jobs}
    names = frozenset(waiting)
    cancelled = threading.Event()
    running: dict[Future[None], str] = {}
    done: set[str] = set()
    with ThreadPoolExecutor(max_workers=max(len(waiting), 1)) as pool:
        try:
            while waiting or running:
                for job in _startable(waiting, names, done):
                    running[pool.submit(job.action, cancelled)] = job.name
                    del waiting[job.name]
                for finished in wait(running, return_when=FIRST_COMPLETED).done:
                    done.add(running.pop(finished))
                    finished.result()
        finally:
            cancelled.set()  # when all went well, nobody is left to hear it


def reverse(needs: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Who needs each: the order in which things may be stopped."""
    return {
        name: frozenset(other for other, required in needs.items() if name in required)
        for name in needs
    }


def _startable(waiting: Mapping[str, Job], names: frozenset[str], done: set[str]) -> list[Job]:
    ready = [job for job in waiting.values() if (job.needs & names) <= done]
    if not ready and waiting and not (names - done - waiting.keys()):
        raise ValueError(f"jobs need one another in a circle: {', '.join(sorted(waiting))}")
    return ready
