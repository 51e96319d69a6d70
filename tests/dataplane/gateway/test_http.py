"""The HTTP layer by itself, spoken to in raw bytes."""

import asyncio

import pytest

from dataplane.gateway.listener import HttpServer
from tests.dataplane.gateway.wire import Open, get, post, reply


async def test_keep_alive__two_requests__share_a_connection(connect: Open) -> None:
    reader, writer = await connect()
    for body in (b"one", b"two"):
        writer.write(post(body))
        assert await reply(reader) == (200, body)


async def test_pipelining__slow_first__answers_in_the_order_of_the_requests(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/slow") + get("/second") + get("/third"))
    assert [(await reply(reader))[1] for _ in range(3)] == [b'"slow"', b"/second", b"/third"]


async def test_pipelining__more_than_is_read_at_once__answers_all(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/slow") + b"".join(get(f"/{number}") for number in range(500)))
    assert (await reply(reader))[1] == b'"slow"'
    for number in range(500):
        assert await reply(reader) == (200, f"/{number}".encode())


async def test_body__in_chunks_and_pieces__is_put_together(connect: Open) -> None:
    reader, writer = await connect()
    request = get("/echo", "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)
    for piece in (request, b"5\r\nhel", b"lo\r\n", b"6\r\n world\r\n", b"0\r\n\r\n"):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    assert await reply(reader) == (200, b"hello world")


REFUSED = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two lengths": (post(b"ab", "Content-Length: 3"), 400),
    "length and chunks": (post(b"0\r\n\r\n", "Transfer-Encoding: chunked"), 400),
    "space before colon": (get("/", "X : y"), 400),
    "folded header": (get("/", "X: y\r\n z"), 400),
    "bare newline in a header": (get("/", "X: a\nb"), 400),
    "negative length": (get("/", "Content-Length: -1"), 400),
    "upgrade": (get("/", "Connection: Upgrade", "Upgrade: websocket"), 400),
    "proxy": (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "announced too large": (get("/", "Content-Length: 1001"), 413),
    "too many headers": (get("/", *[f"X-{number}: y" for number in range(12)]), 431),
    "head too large": (get("/", "X: " + "y" * 3_000), 431),
    "path too large": (get("/" + "y" * 3_000), 431),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_request__not_to_be_trusted__is_refused_and_closed(connect: Open, case: str) -> None:
    request, status = REFUSED[case]
    reader, writer = await connect()
    writer.write(request)
    assert (await reply(reader))[0] == status
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_body__too_large_in_chunks__is_413(connect: Open) -> None:
    reader, writer = await connect()
    request = get("/", "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)
    writer.write(request + b"400\r\n" + b"x" * 1_024 + b"\r\n")
    assert (await reply(reader))[0] == 413


async def test_head__without_end__is_cut_off(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(10):
        writer.write(b"y" * 1_000)
        await asyncio.sleep(0.01)
    assert (await reply(reader))[0] == 431


async def test_request__that_never_ends__is_408(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf")
    assert (await reply(reader))[0] == 408


async def test_connection__idle_too_long__is_closed(connect: Open) -> None:
    reader, _ = await connect()
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_connections__over_the_limit__are_turned_away(connect: Open) -> None:
    kept = [await connect() for _ in range(3)]
    reader, _ = await connect()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    kept[0][1].write(get("/still"))
    assert await reply(kept[0][0]) == (200, b"/still")


async def test_old_protocol__keep_alive_asked__is_answered_and_closed(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert await reply(reader) == (200, b"/old")
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_expect__continue__is_told_to_go_on(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/", "Content-Length: 2", "Expect: 100-continue"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert await reply(reader) == (200, b"ok")


async def test_head__request__has_the_length_and_no_body(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/page").replace(b"GET", b"HEAD") + get("/next"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"Content-Length: 5" in head
    assert await reply(reader) == (200, b"/next")


async def test_drain__request_under_way__is_answered_and_then_closed(
    server: HttpServer, connect: Open
) -> None:
    reader, writer = await connect()
    writer.write(get("/slow"))
    await asyncio.sleep(0.05)
    await server.drain(2.0)
    assert await reply(reader) == (200, b'"slow"')
    assert await reader.read() == b""
