"""Requests that mean two things, clients that stall, and more than anyone should ask at once."""

import asyncio
from collections.abc import Callable

import pytest

from dataplane.gateway.http import Connection, Exchange
from dataplane.gateway.listener import HttpServer
from tests.dataplane.gateway.wire import LIMITS, Open, get, post, reply


def head(*headers: str, version: str = "HTTP/1.1") -> bytes:
    return "\r\n".join([f"POST /echo {version}", "Host: test", *headers, "", ""]).encode()


CHUNKED = head("Transfer-Encoding: chunked")
REFUSED = {
    "lengths that agree": head("Content-Length: 2", "Content-Length: 2") + b"ab",
    "list of lengths": head("Content-Length: 2, 2") + b"ab",
    "length with a sign": head("Content-Length: +2") + b"ab",
    "length with an underscore": head("Content-Length: 1_0") + b"0123456789",
    "length in hexadecimal": head("Content-Length: 0x2") + b"ab",
    "length of nothing": head("Content-Length: ") + b"ab",
    "length beyond 64 bits": head("Content-Length: 99999999999999999999") + b"ab",
    "chunks and length": head("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
    "identity": head("Transfer-Encoding: identity") + b"0\r\n\r\n",
    "chunked in disguise": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked after a control": head("Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "chunked before identity": head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "gzip before chunked": head("Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "chunked twice": head(*["Transfer-Encoding: chunked"] * 2) + b"0\r\n\r\n",
    "chunked before colon": head("Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "chunks in HTTP/1.0": head("Transfer-Encoding: chunked", version="HTTP/1.0") + b"0\r\n\r\n",
    "chunk size with prefix": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size with a sign": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk size with a space": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "chunk size missing": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk size ends in a bare newline": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk ends in a bare newline": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "newline in a chunk extension": CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "length in a trailer": CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n",
    "bare newlines": b"GET / HTTP/1.1\nHost: test\n\n",
    "bare carriage returns": b"GET / HTTP/1.1\rHost: test\r\r",
    "NUL in a header": get("/", "X: a\0b"),
    "carriage return in a header": get("/", "X: a\rb"),
    "header without a name": get("/", ": a"),
    "header without a colon": get("/", "nothing"),
    "folded first header": b"GET / HTTP/1.1\r\n Host: test\r\n\r\n",
    "name not in ASCII": get("/", "é: a"),
    "path not in ASCII": get("/é"),
    "space in the path": get("/a b"),
    "two hosts": get("/", "Host: other"),
    "two keys": get("/", "Authorization: Bearer a", "Authorization: Bearer b"),
    "old version": b"GET /\r\n\r\n",
    "future version": get("/").replace(b"1.1", b"1.2"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("case", REFUSED)
async def test_request__with_two_readings__is_400_and_nothing_after_it_is_read(
    connect: Open, case: str
) -> None:
    reader, writer = await connect()
    writer.write(REFUSED[case] + get("/smuggled"))
    assert (await reply(reader))[0] == 400
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_expectation__other_than_continue__is_417(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(post(b"ab", "Expect: miracles"))
    assert (await reply(reader))[0] == 417


async def test_expect__earlier_answer_is_due__comes_after_it(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/slow") + get("/", "Content-Length: 2", "Expect: 100-continue"))
    assert await reply(reader) == (200, b'"slow"')
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert await reply(reader) == (200, b"ok")


async def test_expect__body_announced_too_large__is_413_and_not_invited(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/", "Expect: 100-continue", "Content-Length: 1001"))
    assert (await reply(reader))[0] == 413


async def test_trailer__naming_a_key__is_not_believed(connect: Open) -> None:
    reader, writer = await connect()
    request = head("Authorization: Bearer a", "Transfer-Encoding: chunked")
    writer.write(request.replace(b"/echo", b"/who") + b"0\r\nAuthorization: Bearer b\r\n\r\n")
    assert await reply(reader) == (200, b"Bearer a")


async def test_close__asked_for__leaves_what_follows_unread(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/last", "Connection: close") + get("/more"))
    assert await reply(reader) == (200, b"/last")
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_half_closed__after_asking__is_still_answered(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/slow") + get("/second"))
    writer.write_eof()
    assert [(await reply(reader))[1] for _ in range(2)] == [b'"slow"', b"/second"]
    assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_half_closed__in_a_request__gets_nothing(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/", "Content-Length: 5") + b"ab")
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.parametrize(
    "target", ["/page?key=value&other", "http://host:80/page", "http://host/page?a=b/c", "/page?"]
)
async def test_target__with_query_or_host__is_its_path(connect: Open, target: str) -> None:
    reader, writer = await connect()
    writer.write(get(target))
    assert await reply(reader) == (200, b"/page")


async def test_target__with_escapes__is_left_as_it_came(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/%70age%2F%00"))
    assert await reply(reader) == (200, b"/%70age%2F%00")


@pytest.mark.parametrize("chunk", [b"1;" + b"x" * 500 + b"\r\na\r\n", b"1\r\na\r\n"])
async def test_chunks__much_framing_and_little_body__are_cut_off(
    connect: Open, chunk: bytes
) -> None:
    reader, writer = await connect()
    writer.write(CHUNKED)
    for _ in range(40):
        writer.write(chunk * 40)
        await asyncio.sleep(0)
    assert (await reply(reader))[0] == 413


async def test_head__partial_behind_many_requests__is_not_taken_for_large(connect: Open) -> None:
    reader, writer = await connect()
    writer.write(get("/one") * 200 + get("/last")[:20])
    for _ in range(200):
        assert await reply(reader) == (200, b"/one")
    writer.write(get("/last")[20:])
    assert await reply(reader) == (200, b"/last")


async def test_pipelining__beyond_the_limit__is_not_begun(
    server: HttpServer, connect: Open
) -> None:
    begun: list[Exchange] = []
    server.handler = begun.append
    _, writer = await connect()
    writer.write(get("/") * 500 + get("/end", "Connection: close"))
    await until(lambda: len(begun) == LIMITS.max_pipelined)
    for answered in range(501):
        assert len(begun) == min(501, answered + LIMITS.max_pipelined)
        begun[answered].respond(200, b"")


async def test_slow_reader__asking_for_much__is_bounded_and_cut_off(
    server: HttpServer, connect: Open
) -> None:
    _, writer = await connect()
    writer.write(get("/big") * 200)
    await until(lambda: bool(server.connections))
    (connection,) = server.connections
    await until(lambda: not server.connections, watching=lambda: bounded(connection))


def bounded(connection: Connection) -> None:
    """Of 200 MB asked for, what fills the buffers once is kept, and no more."""
    assert connection.unread_bytes < 2_000_000


async def until(condition: Callable[[], bool], watching: Callable[[], None] = lambda: None) -> None:
    async with asyncio.timeout(8.0):
        while not condition():
            watching()
            await asyncio.sleep(0.01)
