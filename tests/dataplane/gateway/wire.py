"""The HTTP layer by itself, spoken to in raw bytes."""

import asyncio
from collections.abc import Awaitable, Callable

from dataplane.gateway.http import Exchange
from dataplane.gateway.listener import HttpLimits, HttpServer

LIMITS = HttpLimits(
    max_body=1_000,
    max_head=2_000,
    max_headers=10,
    max_connections=3,
    request_timeout_s=1.0,
    idle_timeout_s=2.0,
)
Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]
    return "\r\n".join(lines).encode()


def post(body: bytes, *headers: str) -> bytes:
    length = f"Content-Length: {len(body)}"
    return get("/echo", length, *headers).replace(b"GET", b"POST", 1) + body


def handle(exchange: Exchange) -> None:
    """/slow answers later, /big with a megabyte, /who with the key, else the body or the path."""
    if exchange.path == b"/slow":
        asyncio.get_running_loop().call_later(0.2, exchange.respond, 200, b'"slow"')
    elif exchange.path == b"/big":
        exchange.respond(200, bytes(1_000_000))
    elif exchange.path == b"/who":
        exchange.respond(200, exchange.authorization)
    else:
        exchange.respond(200, exchange.body or exchange.path)


def make_server() -> HttpServer:
    """A server over `handle`, within LIMITS; not started."""
    return HttpServer(
        handler=handle,
        refuse=lambda exchange, status, detail: exchange.respond(status, detail.encode()),
        limits=LIMITS,
    )


async def reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    lines = head.decode().split("\r\n")
    length = next(int(line[15:]) for line in lines if line.startswith("Content-Length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)
