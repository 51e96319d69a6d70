"""Other ways to serve the benchmark's model, each in an environment of its own.

Each is set up as its documentation advises for throughput: its own batching where it has one, one
worker, no access log. None of them authenticates, routes, validates ranges or records anything.
"""

import json
import os
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import rig
from benchmarks.load import Load, run
from embedded import places, ports
from embedded.errors import NotReady
from embedded.probes import Probe
from embedded.processes import Process, start

SERVERS = Path(__file__).parent / "servers"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """How a peer is started and asked. `command` starts with a program of its environment."""

    name: str
    command: tuple[str, ...]
    path: str
    body: Mapping[str, object]

    def process(self, *, port: int, model: Path) -> Process:
        """The server, listening on `port` and, where it has more doors, the next ones."""
        home = places.environment(f"peers-{self.name}")
        program, *arguments = (part.format(port=port, servers=SERVERS) for part in self.command)
        return Process(
            name=self.name,
            command=(str(home / "bin" / program), *arguments),
            cwd=model.parent,
            env={
                "MODEL_PATH": str(model),
                "PORT": str(port),
                "PYTHONPATH": str(SERVERS),
                "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
                "HOME": str(model.parent),
                "OMP_NUM_THREADS": "1",
            },
            probe=self._answers(port),
            group_stop=True,
        )

    def _answers(self, port: int) -> Probe:
        def probe() -> None:
            try:
                answer = httpx.post(f"http://127.0.0.1:{port}{self.path}", json=dict(self.body))
            except httpx.HTTPError as error:
                raise NotReady(str(error)) from error
            if not answer.is_success:
                raise NotReady(f"{self.name} answered {answer.status_code}: {answer.text[:200]}")

        return probe

    def load(self, *, port: int, seconds: float, connections: int = 64) -> Load:
        """Single rows."""
        url = f"http://127.0.0.1:{port}{self.path}"
        return Load(url, (json.dumps(self.body),), seconds=seconds, connections=connections)


def _python(name: str) -> tuple[str, ...]:
    return ("python", f"{{servers}}/{name}_server.py")


_ROW = {"features": rig.example()}
_NUMERIC, _CODE = [[rig.example()[name] for name in rig.NUMBERS]], [[rig.example()["code"]]]
_TENSORS = [
    {"name": "numeric", "shape": [1, len(rig.NUMBERS)], "datatype": "FP32", "data": _NUMERIC[0]},
    {"name": "code", "shape": [1, 1], "datatype": "INT64", "data": _CODE[0]},
]
_BENTOML = ("bentoml", "serve", "bentoml_server:Rig", "--working-dir", "{servers}")

PEERS = (
    Peer(name="fastapi", command=_python("fastapi"), path="/predict", body=_ROW),
    Peer(name="litserve", command=_python("litserve"), path="/predict", body=_ROW),
    Peer(
        name="mlserver",
        command=_python("mlserver"),
        path="/v2/models/rig/infer",
        body={"inputs": _TENSORS},
    ),
    Peer(
        name="bentoml",
        command=(*_BENTOML, "--port", "{port}"),
        path="/predict",
        body={"features": [rig.example()]},
    ),
    Peer(
        name="kserve",
        command=_python("kserve"),
        path="/v1/models/rig:predict",
        body={"instances": [rig.example()]},
    ),
    Peer(name="ray", command=_python("ray"), path="/predict", body=_ROW),
    Peer(
        name="mlflow",
        command=_python("mlflow"),
        path="/invocations",
        body={"inputs": {"numeric": _NUMERIC, "code": _CODE}},
    ),
)


def find(name: str) -> Peer:
    """The peer with this name. Raises KeyError."""
    return {peer.name: peer for peer in PEERS}[name]


def compare(
    site: rig.Rig, peer: Peer, ours: Load, *, seconds: float, rounds: int
) -> list[tuple[float, float]]:
    """Requests a second of the gateway and of the peer, in turn."""
    found: list[tuple[float, float]] = []
    with serving(site, peer) as port:
        load = peer.load(port=port, seconds=seconds)
        run(peer.load(port=port, seconds=1.0))
        for _ in range(rounds):
            result = run(load)
            if result.errors:
                raise RuntimeError(f"{peer.name}: {result.errors} errors under load")
            found.append((run(ours).requests_per_second, result.requests_per_second))
    return found


@contextmanager
def serving(site: rig.Rig, peer: Peer) -> Iterator[int]:
    """The peer, serving the rig's model; gives its port."""
    model = Path(site.services.home) / "peer" / "model.onnx"
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(rig.model_bytes())
    port = ports.free([peer.name])[peer.name]
    log = site.services.home / "logs" / f"{peer.name}.log"
    running = start(peer.process(port=port, model=model), log=log)
    try:
        running.wait_ready()
        yield port
    finally:
        running.stop()


def report_peer(name: str, rates: list[tuple[float, float]]) -> float:
    """Print the medians; the median ratio."""
    print(f"{name}_rps={statistics.median(theirs for _, theirs in rates):.0f}", flush=True)
    ratio = statistics.median(ours / theirs for ours, theirs in rates)
    print(f"gateway_vs_{name}={ratio:.2f}", flush=True)
    return ratio
