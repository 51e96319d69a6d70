"""Closed-loop HTTP load: N connections, each asking again as soon as it is answered.

`wrk` where it is installed, else a small asyncio client of our own in a process of its own (it
costs more of the machine that it shares, the same for whatever it is pointed at).
"""

import asyncio
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

ROOT = Path(__file__).parent.parent
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What to ask: bodies are sent in turn.

    With a `rate` (requests a second over all connections) each connection waits between an answer
    and its next request, exponentially distributed.
    """

    url: str
    bodies: tuple[str, ...]
    authorization: str = ""
    connections: int = 64
    seconds: float = 5.0
    rate: float = 0.0

    @property
    def pause_s(self) -> float:
        """Mean wait of a connection between an answer and its next request."""
        return self.connections / self.rate if self.rate else 0.0


@dataclass(frozen=True)
class Result:
    """What came of it; latencies in milliseconds."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def run(load: Load) -> Result:
    """Apply the load. Raises RuntimeError when nothing could be measured."""
    return _wrk(load) if shutil.which("wrk") else _own(load)


def generator() -> str:
    """Which load generator `run` uses."""
    return "wrk" if shutil.which("wrk") else "benchmarks.load"


def _wrk(load: Load) -> Result:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_lua(load))
        script.flush()
        command = ["wrk", "-t1", f"-c{load.connections}", f"-d{max(1, round(load.seconds))}s"]
        found = subprocess.run(
            [*command, "-s", script.name, load.url], capture_output=True, text=True, check=True
        )
    return _read_wrk(found.stdout)


def _lua(load: Load) -> str:
    """Requests are formatted once; each call hands out the next."""
    bodies = ",\n".join(json.dumps(body) for body in load.bodies)
    pause = f"function delay() return -math.log(1 - math.random()) * {load.pause_s * 1e3} end"
    return f"""
local bodies = {{ {bodies} }}
local made, at = {{}}, 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = {json.dumps(load.authorization)}
init = function(args)
  for number, body in ipairs(bodies) do made[number] = wrk.format(nil, nil, nil, body) end
end
request = function()
  at = at % #made + 1
  return made[at]
end
{pause if load.rate else ""}
done = function(summary, latency, requests)
  local e = summary.errors
  print(string.format("RESULT %f %f %f %d", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def _read_wrk(text: str) -> Result:
    found = re.search(r"RESULT (\S+) (\S+) (\S+) (\d+)", text)
    if found is None:
        raise RuntimeError(f"wrk said: {text}")
    rate, p50, p99, errors = found.groups()
    return Result(float(rate), float(p50), float(p99), int(errors))


def _own(load: Load) -> Result:
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return Result(**json.loads(found.stdout))


class _Client(asyncio.Protocol):
    """One connection; `latencies` in seconds."""

    def __init__(self, requests: Sequence[bytes], start: int, pause_s: float) -> None:
        self._requests = requests
        self._next = start
        self._pause_s = pause_s
        self._buffer = b""
        self.latencies: list[float] = []
        self.errors = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._buffer, 0, end + 2) if end >= 0 else None
        if length is None or len(self._buffer) < end + 4 + int(length[1]):
            return
        self.latencies.append(time.perf_counter() - self._asked_at)
        self.errors += self._buffer[9:10] != b"2"
        self._buffer = b""
        if self._pause_s:
            pause = random.expovariate(1 / self._pause_s)
            asyncio.get_running_loop().call_later(pause, self._ask)
        else:
            self._ask()

    def stop(self) -> None:
        self._transport.abort()

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1


async def _measure(load: Load) -> Result:
    parts = urlsplit(load.url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    requests = [_request(load, body, parts.path) for body in load.bodies]
    loop = asyncio.get_running_loop()
    clients = [_Client(requests, start, load.pause_s) for start in range(load.connections)]
    for client in clients:
        await loop.create_connection(lambda c=client: c, host, port)  # type: ignore[misc]  # bound early
    await asyncio.sleep(load.seconds)
    for client in clients:
        client.stop()
    latencies = sorted(value for client in clients for value in client.latencies)
    return Result(
        requests_per_second=len(latencies) / load.seconds,
        p50_ms=latencies[len(latencies) // 2] * 1_000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1_000,
        errors=sum(client.errors for client in clients),
    )


def _request(load: Load, body: str, path: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Authorization: {load.authorization}",
        f"Content-Length: {len(body.encode())}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def main() -> None:
    """Read a Load from stdin, write a Result to stdout."""
    given = json.loads(sys.stdin.read())
    load = Load(**{**given, "bodies": tuple(given["bodies"])})
    sys.stdout.write(json.dumps(asdict(uvloop.run(_measure(load)))))


if __name__ == "__main__":
    main()
