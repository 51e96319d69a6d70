"""Whatever arrives, the gateway answers with a client error or closes, and goes on serving."""

import copy
import gzip
import json
import os
import random
import socket
from typing import Any

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from benchmarks import rig
from contracts.routing import EndpointSpec
from tests.dataplane.gateway.site import Site

CASES = 1_500
PROOF_CASES = 100_000
SEED = int(os.environ.get("FUZZ_SEED", "7"))
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 0.5, -0.0, 1e308, 5e-324),
    *("", "u", "é", "\x00", "\ud800", "9" * 300, [], {}, [[]], {"": None}, [1] * 50),
)
BYTES = (b"", b"\r\n", b"\n", b"\0", b"\xff", b":", b" ", b"\t", b"0", b"{", b'"', b"GET ", b"%00")
HEADERS = (
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Host:\r\n",
    b"X" * 5_000 + b": y\r\n",
)


PREDICT, INFER = "/v1/predict", "/v2/models/rig/infer"
SEGMENTS = (
    *("v2", "models", "rig", "nope", "versions", "1", "9", "infer", "ready", "config", "stats"),
    *("repository", "index", "load", "trace", "logging", "generate_stream", "health", "live"),
    *("", "%2F", "%ff", "..", "?", "a" * 300),
)


def request(body: bytes, path: str = PREDICT, *headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: gateway",
        f"Authorization: Bearer {rig.CLIENT_KEY}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def prediction() -> Any:
    return {"model": "rig", "features": rig.example(), "user_id": "u1"}


def listed() -> Any:
    return {"model": "rig", "instances": [rig.example(), rig.example()], "user_id": "u1"}


def inference() -> Any:
    numeric = {"name": "numeric", "shape": [2, 8], "datatype": "FP32", "data": [0.5] * 16}
    carrier = {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["AA", "UA"]}
    output = {"name": "label", "parameters": {"binary_data": True}}
    unit = {"user_id": "u1"}
    return {"inputs": [numeric, carrier], "outputs": [output], "parameters": unit, "id": "r"}


BODIES = ((PREDICT, prediction), (PREDICT, listed), (INFER, inference))


def places(value: Any) -> list[Any]:
    """Every object and array in a JSON value, itself first."""
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(p for each in inner if isinstance(each, dict | list) for p in places(each))]


def odd_values(rng: random.Random) -> bytes:
    """A proper request whose body is JSON with something odd in it."""
    path, make = rng.choice(BODIES)
    body = make()
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(places(body))
        value = copy.deepcopy(rng.choice(VALUES))
        if isinstance(place, dict):
            place[rng.choice([*place, "version", "x"])] = value
        elif place:
            place[rng.randrange(len(place))] = value
    return request(json.dumps(body).encode(errors="surrogatepass"), path)


def odd_tensors(rng: random.Random) -> bytes:
    """An inference with binary tensors, whose sizes, bytes and coding may be wrong."""
    body = inference()
    raw = rng.randbytes(rng.choice((0, 63, 64, 64, 64, 65)))
    numeric = body["inputs"][0]
    del numeric["data"]
    numeric["datatype"] = rng.choice(("FP32", "FP32", "FP64", "INT8", "BOOL", "BYTES", "FP16"))
    numeric["parameters"] = {"binary_data_size": rng.choice((64, 64, 0, -1, 10**30, "64"))}
    text = json.dumps(body).encode()
    length = rng.choice((len(text), len(text), len(text) - 1, 0, len(text) + 100))
    data = text + raw
    headers = [f"Inference-Header-Content-Length: {length}"]
    if rng.random() < 0.3:
        coding = rng.choice(("gzip", "deflate", "br"))
        headers += [f"Content-Encoding: {coding}", f"Accept-Encoding: {coding};q=0.5, *"]
        data = gzip.compress(data)[: rng.choice((None, -1, 30))]
    return request(data, INFER, *headers)


def odd_path(rng: random.Random) -> bytes:
    """Any path made of the protocol's words, by any method."""
    path = "/" + "/".join(rng.choices(SEGMENTS, k=rng.randint(1, 6)))
    data = request(json.dumps(inference()).encode(), path)
    return data.replace(b"POST", rng.choice((b"GET", b"POST", b"HEAD", b"PUT", b"DELETE")), 1)


def odd_bytes(rng: random.Random) -> bytes:
    """A request with bytes cut out, put in or replaced anywhere, headers included."""
    path, make = rng.choice(BODIES)
    data = request(json.dumps(make()).encode(), path)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        piece = rng.choice((*BYTES, *HEADERS, rng.randbytes(rng.randint(1, 20))))
        data = data[:at] + piece + data[at + rng.choice((0, 0, 1, 5, 60)) :]
    if rng.random() < 0.3:
        at = data.find(b"\r\n") + 2
        data = data[:at] + rng.choice(HEADERS) + data[at:]
    return data


def statuses(site: Site, data: bytes) -> list[int]:
    """What the gateway answers until it closes, with our half closed after sending."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        received = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                received += piece
        except ConnectionError:
            pass  # cut off while we were still sending
    starts = received.split(b"HTTP/1.1 ")[1:]
    return [int(start[:3]) for start in starts]


def tolerant(site: Site) -> EndpointSpec:
    """The rig's endpoint, where no code is let through that its model fails on by design."""
    features = tuple(
        msgspec.structs.replace(each, minimum=0.0, maximum=rig.NAN_CODE - 1.0)
        if each.name == "code"
        else each
        for each in rig.SCHEMA.features
    )
    schema = msgspec.structs.replace(rig.SCHEMA, features=features)
    return rig.endpoint([rig.variant(1, site.triton, schema=schema)])


KINDS = (odd_values, odd_values, odd_bytes, odd_bytes, odd_tensors, odd_path)


def fuzz(site: Site, cases: int) -> None:
    site.publish(tolerant(site))
    rng = random.Random(SEED)
    for number in range(cases):
        data = rng.choice(KINDS)(rng)
        found = statuses(site, data)
        assert all(status < 500 for status in found), (number, data, found)
    assert site.running is not None
    assert site.running.child.poll() is None
    assert site.predict().status == 200
    assert "Traceback" not in site.log()


def test_fuzz__odd_requests__never_a_server_error(served: Site) -> None:
    fuzz(served, CASES)


@pytest.mark.proof
@pytest.mark.timeout(3_600)
def test_fuzz__very_many_odd_requests__never_a_server_error(served: Site) -> None:
    fuzz(served, PROOF_CASES)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            *("model", "features", "instances", "user_id", "version"),
            *("id", "inputs", "outputs", "parameters"),
        ]
    ),
    JSON | st.just("rig") | st.just([{"name": "code", "shape": [1], "datatype": "INT64"}]),
)


def ask_anything(site: Site, examples: int) -> None:
    site.publish(tolerant(site))

    @seed(SEED)
    @settings(max_examples=examples, deadline=None, database=None)
    @given(st.sampled_from([PREDICT, INFER]), FIELDS | JSON)
    def ask(path: str, body: Any) -> None:
        data = json.dumps(body).encode(errors="surrogatepass")
        found = statuses(site, request(data, path))
        assert found == [found[0]]
        assert 400 <= found[0] < 500

    ask()


def test_fuzz__any_json__is_a_client_error(served: Site) -> None:
    ask_anything(served, 300)


@pytest.mark.proof
@pytest.mark.timeout(3_600)
def test_fuzz__very_much_json__is_a_client_error(served: Site) -> None:
    ask_anything(served, 20_000)
