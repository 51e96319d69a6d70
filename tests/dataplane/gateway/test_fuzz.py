"""Whatever arrives, the gateway answers with a client error or closes, and goes on serving."""

import copy
import json
import os
import random
import socket
from typing import Any

import msgspec
import pytest

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


def request(body: bytes) -> bytes:
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: gateway\r\n"
        f"Authorization: Bearer {rig.CLIENT_KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def odd_values(rng: random.Random) -> bytes:
    """A proper request whose body is JSON with something odd in it."""
    body: Any = {"model": "rig", "features": rig.example(), "user_id": "u1"}
    for _ in range(rng.randint(1, 3)):
        place = rng.choice([body, body["features"]]) if isinstance(body["features"], dict) else body
        place[rng.choice([*place, "version", "x"])] = copy.deepcopy(rng.choice(VALUES))
        body.setdefault("features", {})
    return request(json.dumps(body).encode(errors="surrogatepass"))


def odd_bytes(rng: random.Random) -> bytes:
    """A request with bytes cut out, put in or replaced anywhere, headers included."""
    data = request(json.dumps({"model": "rig", "features": rig.example()}).encode())
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


def fuzz(site: Site, cases: int) -> None:
    site.publish(tolerant(site))
    rng = random.Random(SEED)
    for number in range(cases):
        data = rng.choice((odd_values, odd_bytes))(rng)
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
