"""One HTTP/1.1 POST over one connection to one address, whatever it takes, by a deadline."""

import io
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING

from apps.events.errors import Unavailable
from apps.notices.outbound.policy import Address, Refused, Target

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_BYTES = 64 * 1024
USER_AGENT = "switchyard/1"
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
DEFAULTS = {"content-type": "application/json", "user-agent": USER_AGENT, "accept": "*/*"}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~]*")


class Unreachable(Unavailable):
    """Nothing answered properly: no such name, no connection, bad certificate, too slow."""

    code = "unreachable"
    title = "Address did not answer"


class Wire:
    """A connected socket of which every send and receive ends by the deadline.

    A time-out of the socket alone would start afresh with every byte of a slow answer.
    """

    def __init__(self, opened: socket.socket, deadline: float) -> None:
        self._opened = opened
        self._deadline = deadline

    def send(self, data: bytes) -> None:
        """Send all of it. Raises TimeoutError."""
        rest = memoryview(data)
        while rest:
            self._opened.settimeout(left(self._deadline))
            rest = rest[self._opened.send(rest) :]

    def receive_into(self, buffer: "WriteableBuffer") -> int:
        """Receive some bytes; 0 is the end. Raises TimeoutError."""
        self._opened.settimeout(left(self._deadline))
        return self._opened.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client reads an answer from."""
        return io.BufferedReader(_Incoming(self))


class _Incoming(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        return self._wire.receive_into(buffer)


def left(deadline: float) -> float:
    """Seconds until the deadline (monotonic). Raises TimeoutError when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("it took too long")
    return seconds


def request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The request as bytes. Raises Refused for what cannot be a header."""
    given = {name.lower(): value for name, value in headers.items()}
    kept = {name: value for name, value in given.items() if name not in OWN_HEADERS}
    sent = {
        "host": _authority(target),
        **DEFAULTS,
        **kept,
        "content-length": str(len(body)),
        "connection": "close",
    }
    for name, value in sent.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Refused(f"{name!r} cannot be sent as a header", field="headers")
    lines = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def exchange(
    target: Target,
    addresses: Sequence[Address],
    sent: bytes,
    *,
    deadline: float,
    ca_file: Path | None,
) -> tuple[int, dict[str, str], bytes]:
    """Connect to the first of exactly these addresses that answers, send, and read status,
    headers and at most MOST_BYTES + 1 of the body. Raises Unreachable."""
    try:
        with closing(_connect(target, addresses, deadline, ca_file)) as opened:
            wire = Wire(opened, deadline)
            wire.send(sent)
            response = HTTPResponse(wire, method="POST")  # type: ignore[arg-type]  # needs makefile only
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read(MOST_BYTES + 1)
    except (OSError, HTTPException) as error:
        raise Unreachable(f"{target.host}: {words(error)}") from error


def words(error: Exception) -> str:
    """What went wrong, short enough to show."""
    said = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    return str(said or type(error).__name__)[:200]


def _connect(
    target: Target, addresses: Sequence[Address], deadline: float, ca_file: Path | None
) -> socket.socket:
    opened = _opened(target, addresses, deadline)
    if not target.tls:
        return opened
    try:
        opened.settimeout(left(deadline))
        return _tls(ca_file).wrap_socket(opened, server_hostname=target.host)
    except (OSError, ValueError):
        opened.close()
        raise


def _opened(target: Target, addresses: Sequence[Address], deadline: float) -> socket.socket:
    """The first connection that comes about; each address gets its share of what time is left."""
    last: OSError = TimeoutError("it took too long")
    for waiting, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            share = left(deadline) / waiting
            return socket.create_connection((str(address), target.port), share)
        except OSError as error:
            last = error
    raise last


@lru_cache(maxsize=4)
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == (443 if target.tls else 80) else f"{host}:{target.port}"
