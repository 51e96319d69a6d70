"""A gateway with its recorder, Triton and Valkey on free ports: for benchmarks and tests.

The routing table that the control plane would publish is signed and published here, with the same
contracts.
"""

import base64
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper, numpy_helper

from contracts import signing
from contracts.routing import (
    CHANGED_CHANNEL,
    CLIENTS_KEY,
    CLIENTS_PURPOSE,
    INDEX_KEY,
    INDEX_PURPOSE,
    SPEC_KEY,
    Client,
    ClientsDocument,
    EndpointSpec,
    RoutingIndex,
    VariantSpec,
    encode_spec,
    spec_digest,
)
from contracts.schema import FeatureSpec, Labelling, ModelSchema, OutputSpec, TensorSpec
from dataplane.triton.config import EXPLAIN_RUNTIME, config_pbtxt
from dataplane.triton.control import TritonControl
from dataplane.triton.explainer import explainer_entry, explainer_pbtxt
from dataplane.triton.repository import RUNTIME_FILE, RUNTIMES
from embedded.private import PrivateServices
from embedded.probes import http_probe
from embedded.processes import Process, Running, start
from serving.allocation import allocate
from serving.background import encode_background
from serving.validation import compile_schema

ROOT = Path(__file__).parent.parent
CLIENT_KEY = "swy_rig-client-key"
NUMBERS = tuple(f"x{number}" for number in range(8))
NAN_CODE, CODES = 9, 10
LABELS = {"0": "on_time", "1": "late"}

SCHEMA = ModelSchema(
    features=(
        *(FeatureSpec(name=name, kind="float", minimum=-1e6, maximum=1e6) for name in NUMBERS),
        FeatureSpec(name="carrier", kind="string", categories=("AA", "DL", "UA")),
        FeatureSpec(name="code", kind="integer", required=False, default=0),
    ),
    tensors=(
        TensorSpec(name="numeric", datatype="FP32", features=NUMBERS),
        TensorSpec(name="code", datatype="INT64", features=("code",)),
    ),
    output=OutputSpec(tensor="probabilities", kind="binary", width=2),
)


def example(**changes: Any) -> dict[str, Any]:
    """Features that SCHEMA accepts. `code` 9 makes the model answer NaN, from 10 on it raises."""
    numbers = {name: 0.25 * number for number, name in enumerate(NUMBERS)}
    return {**numbers, "carrier": "UA", "code": 1, **changes}


def model_bytes(bias: float = 0.0, codes: int = CODES) -> bytes:
    """ONNX: p = sigmoid(numeric . w + bias + table[code]); output `[rows, 2]`.

    A `code` of `codes` or more raises.
    """
    table = np.zeros((codes, 1), dtype=np.float32)
    table[NAN_CODE:] = np.nan
    weights = np.linspace(-0.5, 0.5, len(NUMBERS), dtype=np.float32).reshape(-1, 1)
    nodes = [
        helper.make_node("MatMul", ["numeric", "weights"], ["linear"]),
        helper.make_node("Squeeze", ["code", "axis"], ["flat"]),
        helper.make_node("Reshape", ["flat", "column"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["shift"], axis=0),
        helper.make_node("Add", ["linear", "shift"], ["shifted"]),
        helper.make_node("Add", ["shifted", "bias"], ["biased"]),
        helper.make_node("Sigmoid", ["biased"], ["late"]),
        helper.make_node("Sub", ["one", "late"], ["on_time"]),
        helper.make_node("Concat", ["on_time", "late"], ["probabilities"], axis=1),
    ]
    constants: dict[str, Any] = {
        "weights": weights,
        "table": table,
        "axis": np.array([1], dtype=np.int64),
        "column": np.array([-1], dtype=np.int64),
        "bias": np.array([[bias]], dtype=np.float32),
        "one": np.array([[1.0]], dtype=np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "rig",
        [
            helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["rows", len(NUMBERS)]),
            helper.make_tensor_value_info("code", TensorProto.INT64, ["rows", 1]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def variant(number: int, address: str, **changes: Any) -> VariantSpec:
    """Version `number` of the rig's model, by default as the stable variant."""
    values: dict[str, Any] = {
        "key": "stable",
        "role": "stable",
        "version": f"rig/{number}",
        "number": number,
        "semantic_version": f"{number}.0.0",
        "entry": f"rig-v{number}",
        "addresses": (address,),
        "schema": SCHEMA,
        "labelling": Labelling(labels=LABELS),
    }
    return VariantSpec(**{**values, **changes})


def endpoint(
    variants: Sequence[VariantSpec], weights: Mapping[str, int] | None = None, **changes: Any
) -> EndpointSpec:
    """An endpoint named "rig" over `variants`; all weight on the first unless told otherwise."""
    weights = weights or {
        each.key: 10_000 if number == 0 else 0 for number, each in enumerate(variants)
    }
    values: dict[str, Any] = {
        "name": "rig",
        "team": "team",
        "phase": 1,
        "salt": "salt",
        "unit_kind": "user",
        "variants": tuple(variants),
        "ranges": allocate(weights),
        "sample_rate": 0.01,
    }
    return EndpointSpec(**{**values, **changes})


@dataclass
class Publisher:
    """Signs and publishes as the control plane does."""

    client: "redis.Redis"
    private_key: Ed25519PrivateKey
    key_id: str
    generation: int = 0
    epoch: int = 1

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Publisher":
        seed = base64.b64decode(environment["ROUTING_SIGNING_KEY"])
        key_id = environment["ROUTING_PUBLIC_KEYS"].partition(":")[0]
        client = redis.Redis.from_url(environment["REDIS_URL"])
        return cls(client, Ed25519PrivateKey.from_private_bytes(seed), key_id)

    def publish(self, *specs: EndpointSpec, generation: int | None = None) -> int:
        """Publish a table of exactly these endpoints; the generation that it got."""
        self.generation = self.generation + 1 if generation is None else generation
        bodies = {spec.name: encode_spec(spec) for spec in specs}
        digests = {name: spec_digest(body) for name, body in bodies.items()}
        index = RoutingIndex(
            epoch=self.epoch,
            generation=self.generation,
            issued_at=time.time(),
            endpoints=digests,
        )
        pipe = self.client.pipeline()
        pipe.mset({SPEC_KEY + digests[name]: body for name, body in bodies.items()})
        pipe.set(INDEX_KEY, self.signed(index, INDEX_PURPOSE))
        pipe.publish(CHANGED_CHANNEL, str(self.generation))
        pipe.execute()
        return self.generation

    def publish_clients(self, *clients: Client, revision: int = 1) -> None:
        """Publish the clients; by default one that may ask everything with CLIENT_KEY."""
        document = ClientsDocument(revision=revision, clients=clients or (client(),))
        self.client.set(CLIENTS_KEY, self.signed(document, CLIENTS_PURPOSE))
        self.client.publish(CHANGED_CHANNEL, "clients")

    def signed(self, value: object, purpose: str) -> bytes:
        """A signed document's bytes."""
        return signing.encode(
            signing.sign(value, purpose=purpose, key_id=self.key_id, private_key=self.private_key)
        )


def client(name: str = "app", key: str = CLIENT_KEY, **changes: Any) -> Client:
    """A client with one key that does not expire."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return Client(**{"name": name, "team": "team", "key_digests": {digest: 0.0}, **changes})


def install_model(
    environment: Mapping[str, str], number: int, *, bias: float = 0.0, codes: int = CODES
) -> None:
    """Put version `number` of the rig's model into Triton's repository and load it."""
    home = Path(environment["TRITON_REPOSITORY"]) / f"rig-v{number}"
    (home / "1").mkdir(parents=True, exist_ok=True)
    (home / "config.pbtxt").write_text(config_pbtxt(SCHEMA, f"rig-v{number}", 1))
    (home / "1" / "model.onnx").write_bytes(model_bytes(bias, codes))
    shutil.copyfile(RUNTIME_FILE, home / "1" / "model.py")
    control = TritonControl(environment["TRITON_URL"], environment["TRITON_CONTROL_KEY"], 60.0)
    control.load(home.name)


def install_explainer(
    environment: Mapping[str, str],
    number: int,
    *,
    bias: float = 0.0,
    rows: int = 100,
    schema: ModelSchema = SCHEMA,
    name: str = "rig",
) -> str:
    """Put what explains version `number` into Triton's repository and load it; its entry's name.

    Its background are `rows` examples with all numbers drawn from a standard normal, seed 0.
    """
    entry = explainer_entry(f"{name}-v{number}")
    home = Path(environment["TRITON_REPOSITORY"]) / entry
    (home / "1").mkdir(parents=True, exist_ok=True)
    for path, file in RUNTIMES[EXPLAIN_RUNTIME].items():
        shutil.copyfile(file, home / path)
    (home / "config.pbtxt").write_text(explainer_pbtxt(schema, entry))
    (home / "1" / "model.onnx").write_bytes(model_bytes(bias))
    (home / "1" / "background.json").write_bytes(background(rows, schema))
    control = TritonControl(environment["TRITON_URL"], environment["TRITON_CONTROL_KEY"], 120.0)
    control.load(entry)
    return entry


def background(rows: int, schema: ModelSchema = SCHEMA) -> bytes:
    """A sample for explanations of the rig's model."""
    compiled = compile_schema(schema)
    drawn = np.random.default_rng(0).normal(size=(rows, len(NUMBERS))).tolist()
    examples = [example(**dict(zip(NUMBERS, row, strict=True))) for row in drawn]
    taken = [{name: row[name] for name in compiled.names if name in row} for row in examples]
    return encode_background(compiled, [compiled.read(row) for row in taken])


def gateway_process(environment: Mapping[str, str], port: int) -> Process:
    """The gateway as a process of its own, in an environment of only what it needs."""
    return Process(
        name="gateway",
        command=(sys.executable, "-m", "dataplane.gateway"),
        cwd=ROOT,
        env=_environment(environment),
        ports={"GATEWAY_HTTP": port},
        probe=http_probe(port=port, path="/healthz"),
        stop_seconds=15,
    )


def recorder_process(environment: Mapping[str, str]) -> Process:
    """The recorder beside it."""
    return Process(
        name="recorder",
        command=(sys.executable, "-m", "dataplane.recorder"),
        cwd=ROOT,
        env=_environment(environment),
        probe=lambda: None,
    )


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("GATEWAY_", "RECORDER_", "REDIS_URL", "ROUTING_PUBLIC_KEYS", "UNIT_HASH_KEY")
    own = {name: value for name, value in environment.items() if name.startswith(names)}
    return {**own, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


@dataclass
class Rig:
    """Everything that a benchmark of the data plane needs, started and published."""

    services: PrivateServices = field(default_factory=PrivateServices)
    running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = self.services.environment()
        self.port = self.services.ports["GATEWAY_HTTP"]
        self.triton_port = self.services.ports["TRITON_HTTP"]
        self.address = self.environment["TRITON_URL"]
        self.grpc_address = self.environment["TRITON_GRPC_URL"]

    def start(self) -> "Rig":
        """Start Valkey and Triton."""
        self.services.start_valkey()
        self.services.start_triton()
        self.publisher = Publisher.of(self.environment)
        self.publisher.publish_clients()
        return self

    def start_gateway(self) -> None:
        """Start the gateway and its recorder."""
        logs = self.services.home / "logs"
        for process in (gateway_process(self.environment, self.port), self._recorder()):
            running = start(process, log=logs / f"{process.name}.log")
            self.running.append(running)
            running.wait_ready()

    def _recorder(self) -> Process:
        return recorder_process(self.environment)

    def stop(self) -> None:
        """Stop everything."""
        while self.running:
            self.running.pop().stop()
        self.services.stop()
