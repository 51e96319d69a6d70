"""How long a change of routing takes to reach clients, with 1,000 other endpoints in the table.

From the commit of a reallocation or a rollback in Postgres to the first answer that a client gets
by the new generation, on real parts: Postgres, Valkey, Triton, a gateway process, and a client in
a process of its own that asks without a pause. Each of the other endpoints has two variants with
50 features each.

    python -m benchmarks.switch [--changes 50] [--endpoints 1000]
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from time import perf_counter
from typing import Protocol, TextIO

import django

from benchmarks import rig

ENDPOINT = "rig"


class Changes(Protocol):
    """The table under change: `benchmarks._control.Table`."""

    generation: int

    def change(self, number: int) -> tuple[float, float]:
        """Change it; when that was committed, and when it was published."""


def main() -> None:
    """Print each figure as name=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=50)
    parser.add_argument("--endpoints", type=int, default=1_000)
    parser.add_argument("--ask", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        ask(options.ask, sys.stdout)
        return
    site = rig.Rig()
    try:
        measure(site, changes=options.changes, endpoints=options.endpoints)
    finally:
        site.stop()


def measure(site: rig.Rig, *, changes: int, endpoints: int) -> None:
    """Set everything up, make the changes, print the figures."""
    site.services.start_postgres()
    site.services.start_valkey()
    site.services.start_triton()
    for number in (1, 2):
        rig.install_model(site.environment, number, bias=float(number))
    os.environ.update(site.environment, DJANGO_SETTINGS_MODULE="controlplane.settings")
    # Django reads its settings when it is imported: they are known only now.
    django.setup()
    control = importlib.import_module("benchmarks._control")
    table = control.Table(address=site.grpc_address, others=endpoints)
    site.start_gateway()
    with answers(site.port) as seen:
        wait(seen, table.generation)
        times = [_one(table, seen, number) for number in range(changes)]
    report(times, endpoints=endpoints, index_bytes=table.index_bytes())


def _one(table: Changes, seen: Iterator[tuple[float, int]], number: int) -> tuple[float, float]:
    """Seconds from the commit to its publication, and to the first answer by it."""
    committed_at, published_at = table.change(number)
    return published_at - committed_at, wait(seen, table.generation) - committed_at


def report(times: Sequence[tuple[float, float]], *, endpoints: int, index_bytes: int) -> None:
    """The figures, one a line."""
    published = sorted(1_000 * time for time, _ in times)
    switched = sorted(1_000 * time for _, time in times)
    figures = {
        "switch_changes": len(times),
        "switch_other_endpoints": endpoints,
        "switch_index_bytes": index_bytes,
        "publish_p50_ms": f"{statistics.median(published):.1f}",
        "publish_p99_ms": f"{_p99(published):.1f}",
        "switch_p50_ms": f"{statistics.median(switched):.1f}",
        "switch_p99_ms": f"{_p99(switched):.1f}",
    }
    for name, value in figures.items():
        print(f"{name}={value}", flush=True)


def _p99(ordered: Sequence[float]) -> float:
    """The smallest value that 99 % do not exceed: of 50, the largest."""
    return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


@contextmanager
def answers(port: int) -> Iterator[Iterator[tuple[float, int]]]:
    """A client in a process of its own; yields when each generation first answered it."""
    command = [sys.executable, "-m", "benchmarks.switch", "--ask", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield (_read(line) for line in process.stdout)
        finally:
            process.kill()


def _read(line: str) -> tuple[float, int]:
    at, generation = line.split()
    return float(at), int(generation)


def wait(seen: Iterator[tuple[float, int]], generation: int) -> float:
    """When the first answer by this generation, or a later one, came."""
    return next(at for at, number in seen if number >= generation)


def ask(port: int, out: TextIO) -> None:
    """Predict for ever; tell when an answer is the first by its generation.

    `perf_counter` is the machine's monotonic clock, the same for all its processes.
    """
    body = json.dumps({"model": ENDPOINT, "features": rig.example(), "user_id": "user-1"})
    headers = {
        "Authorization": f"Bearer {rig.CLIENT_KEY}",
        "Content-Type": "application/json",
    }
    connection, newest = HTTPConnection("127.0.0.1", port, timeout=10), 0
    while True:
        connection.request("POST", "/v1/predict", body, headers)
        answer = connection.getresponse()
        read = answer.read()
        generation = json.loads(read).get("generation", 0) if answer.status == 200 else 0
        if generation > newest:
            newest = generation
            out.write(f"{perf_counter()} {generation}\n")
            out.flush()


if __name__ == "__main__":
    main()
