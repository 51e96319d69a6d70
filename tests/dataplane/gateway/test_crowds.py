"""What many connections together may take: bytes of requests half sent, places per address."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest

from dataplane.gateway.listener import HttpLimits, HttpServer, origin_of
from tests.dataplane.gateway.site import Site
from tests.dataplane.gateway.wire import get, handle, post, reply

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BODY = b"x" * 1_000
HALF = len(post(BODY)) - 500


@asynccontextmanager
async def serving(
    **limits: int,
) -> AsyncIterator[tuple[HttpServer, Callable[..., Awaitable[Pair]]]]:
    """A server within these limits, and what opens connections to it."""
    writers: list[asyncio.StreamWriter] = []
    server = HttpServer(
        handler=handle,
        refuse=lambda exchange, status, detail: exchange.respond(status, detail.encode()),
        limits=HttpLimits(**limits),
    )

    async def connect(address: str = "127.0.0.1") -> Pair:
        port = server.port
        pair = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writers.append(pair[1])
        return pair

    await server.start("127.0.0.1", 0)
    try:
        yield server, connect
    finally:
        for writer in writers:
            writer.close()
        await server.drain(1.0)


async def told(writer: asyncio.StreamWriter, server: HttpServer, data: bytes) -> None:
    """Send, and wait until the server has it."""
    before = server.held_bytes
    writer.write(data)
    while server.held_bytes == before:  # noqa: ASYNC110 - nothing signals it
        await asyncio.sleep(0)


async def test_half_sent_requests__beyond_their_budget__the_next_is_503_and_the_others_go_on() -> (
    None
):
    async with serving(max_held=2 * HALF) as (server, connect):
        first, second, third = [await connect() for _ in range(3)]
        for _, writer in (first, second):
            await told(writer, server, post(BODY)[:-500])
        assert server.held_bytes == 2 * HALF
        third[1].write(post(BODY)[:-500])
        assert (await reply(third[0]))[0] == 503
        for reader, writer in (first, second):
            writer.write(post(BODY)[-500:])
            assert await reply(reader) == (200, BODY)
        assert server.held_bytes == 0


async def test_whole_requests__while_the_budget_is_used_up__are_answered() -> None:
    async with serving(max_held=HALF) as (server, connect):
        slow, quick = await connect(), await connect()
        await told(slow[1], server, post(BODY)[:-500])
        quick[1].write(post(BODY))
        assert await reply(quick[0]) == (200, BODY)
        slow[1].transport.abort()
        while len(server.connections) > 1:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0)
        assert server.held_bytes == 0


async def test_connections__of_one_address_beyond_its_share__are_closed_until_one_ends() -> None:
    async with serving(max_connections_per_address=2) as (server, connect):
        held = [await connect() for _ in range(2)]
        for reader, writer in held:
            writer.write(get("/"))
            assert (await reply(reader))[0] == 200
        one_more = await connect()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reply(one_more[0])
        reader, writer = await connect("127.0.0.2")
        writer.write(get("/"))
        assert (await reply(reader))[0] == 200
        held[0][1].close()
        while len(server.connections) > 2:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0)
        reader, writer = await connect()
        writer.write(get("/"))
        assert (await reply(reader))[0] == 200
        assert server.turned_away["address"] == 1


@pytest.mark.parametrize(
    ("peer", "origin"),
    [
        (("10.0.0.7", 1), "10.0.0.7"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        (None, ""),
    ],
)
def test_origin__of_a_peer__is_its_address_or_its_network(peer: object, origin: str) -> None:
    assert origin_of(peer) == origin


def test_gateway__half_sent_requests_beyond_the_budget__answers_a_problem_and_counts_it(
    site: Site,
) -> None:
    site.serve(GATEWAY_MAX_HELD="5000")
    with closing(socket.create_connection(("127.0.0.1", site.port), 5)) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n")
        client.sendall(bytes(6_000))
        answer = client.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 503")
    assert "Retry-After: 1" in answer
    assert "too_much_unfinished" in site.get("/metrics").body.decode()
    assert site.predict().status == 200
