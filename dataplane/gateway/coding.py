"""Content codings that clients choose: gzip and deflate, in bounded time and space."""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

from dataplane.gateway.http import Exchange
from dataplane.gateway.problems import Refusal

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 1
WORTHWHILE = 512
CODINGS: Mapping[bytes, int] = {b"gzip": _GZIP, b"deflate": zlib.MAX_WBITS}
STREAM = b"text/event-stream"


class Coded(NamedTuple):
    """A body as it travels, and the header lines that say how."""

    body: bytes
    headers: bytes


def prepare(exchange: Exchange, max_body: int) -> None:
    """Undo the body's coding; `max_body` bounds what comes out of it.

    Raises Refusal 400, 413 or 415, and 406 to whoever takes nothing but a stream.
    """
    headers = exchange.headers
    accepted = headers.get(b"accept", b"").lower()
    if STREAM in accepted and b"json" not in accepted and b"*/*" not in accepted:
        raise Refusal(406, "streaming_not_offered", "answers are whole, not streams of events")
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding == b"identity":
        return
    if coding not in CODINGS:
        raise Refusal(415, "unknown_coding", "bodies may be coded by gzip or deflate")
    exchange.body = _expanded(exchange.body, max_body)


def coded(exchange: Exchange, body: bytes) -> Coded:
    """The body in the first of our codings that the client takes, where that is worth it."""
    accepted = exchange.headers.get(b"accept-encoding")
    if accepted is None or len(body) < WORTHWHILE:
        return Coded(body, b"")
    taken = {name.strip() for name, _, weight in _weighed(accepted) if weight.strip() not in NEVER}
    for name, bits in CODINGS.items():
        if name in taken:
            packer = zlib.compressobj(_LEVEL, wbits=bits)
            lines = b"Content-Encoding: %b\r\nVary: Accept-Encoding\r\n" % name
            return Coded(packer.compress(body) + packer.flush(), lines)
    return Coded(body, b"Vary: Accept-Encoding\r\n")


NEVER = frozenset({b"q=0", b"q=0.0", b"q=0.00", b"q=0.000"})


def _weighed(accepted: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return [each.partition(b";") for each in accepted.lower().split(b",")]


def _expanded(body: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    try:
        expanded = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise _torn() from error
    if len(expanded) > limit:
        raise Refusal(413, "too_large", "the body is too large once it is expanded")
    if not unpacker.eof or unpacker.unused_data:
        raise _torn()
    return expanded


def _torn() -> Refusal:
    return Refusal(400, "malformed_coding", "the body is not what its coding says")
