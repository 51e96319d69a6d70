"""A cache stampede: a thousand equal requests at once, and the rows that Triton gets for them.

Triton is held still until every request has arrived, so that all of them really come at the same
time; then it goes on, and its own statistics say how many rows it was asked for.

    python -m benchmarks.stampede [--requests 1000] [--connections 20]
"""

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from benchmarks import rig
from contracts.policy import Cache, Policy
from contracts.routing import Limits

PATIENCE_S = 30.0
FROM_CACHE = b'"cache_hit":true'


def main() -> None:
    """Print each figure as name=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--connections", type=int, default=20)
    options = parser.parse_args()
    site = rig.Rig()
    try:
        prepare(site)
        asyncio.run(measure(site, options.requests, options.connections))
    finally:
        site.stop()


def prepare(site: rig.Rig) -> None:
    """One loaded version behind a cache, and a gateway that serves it."""
    site.start()
    rig.install_model(site.environment, 1)
    spec = rig.endpoint(
        [rig.variant(1, site.address)],
        policy=Policy(cache=Cache()),
        limits=Limits(deadline_ms=int(PATIENCE_S * 1_000)),
    )
    site.publisher.publish(spec)
    site.start_gateway()


async def measure(site: rig.Rig, requests: int, connections: int) -> None:
    """Let them all come while Triton stands still, then let it go on; print what it was asked."""
    before = rows_asked(site)
    with held(site):
        crowd = [
            asyncio.create_task(ask(site, requests // connections)) for _ in range(connections)
        ]
        await asyncio.to_thread(await_all, site, requests - 1)
        began = time.perf_counter()
    answers = b"".join(await asyncio.gather(*crowd))
    seconds = time.perf_counter() - began
    print(f"stampede_requests={requests}")
    print(f"stampede_rows={rows_asked(site) - before}")
    print(f"stampede_answers_ok={answers.count(b'HTTP/1.1 200 OK')}")
    print(f"stampede_answers_from_cache={answers.count(FROM_CACHE)}")
    print(f"stampede_answered_in_ms={seconds * 1_000:.1f}")


@contextmanager
def held(site: rig.Rig) -> Iterator[None]:
    """Triton is there, and does nothing."""
    triton = next(each for each in site.services.running if each.process.name == "triton")
    os.kill(triton.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(triton.pid, signal.SIGCONT)


async def ask(site: rig.Rig, times: int) -> bytes:
    """The same request so often over one connection, pipelined; every answer."""
    body = json.dumps({"model": "rig", "features": rig.example(), "user_id": "u1"}).encode()
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: gateway\r\n"
        f"Authorization: Bearer {rig.CLIENT_KEY}\r\nContent-Length: {len(body)}\r\n"
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write((head + b"\r\n" + body) * (times - 1))
    writer.write(head + b"Connection: close\r\n\r\n" + body)
    answers = await reader.read(-1)
    writer.close()
    return answers


def rows_asked(site: rig.Rig) -> int:
    """Rows that Triton was asked for since it started, by its own count."""
    found = httpx.get(f"http://127.0.0.1:{site.triton_port}/v2/models/rig-v1/stats").json()
    return int(found["model_stats"][0]["inference_count"])


def waiting(site: rig.Rig) -> int:
    """Rows that wait at the gateway for an equal one's answer."""
    text = httpx.get(f"http://127.0.0.1:{site.port}/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("switchyard_gateway_cache_wait")]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)


def await_all(site: rig.Rig, rows: int) -> None:
    """Until so many wait for the one that was sent. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE_S / 2
    while waiting(site) < rows:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {waiting(site)} of {rows} requests wait")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
