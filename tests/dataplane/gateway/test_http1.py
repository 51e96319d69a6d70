"""The HTTP/1.1 client against the real Triton, and against servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from dataplane.gateway import errors
from dataplane.gateway.channel import Channel, open_channel
from dataplane.gateway.errors import TritonError
from dataplane.gateway.inference import Form, Input, Request
from embedded.private import PrivateServices

FORM = Form("rig-v1", [Input("numeric", "FP32", (1, 8)), Input("code", "INT64", (1, 1))], ["p"])
JSON = b'{"outputs":[{"name":"p","parameters":{"binary_data_size":2}}]}'
OK = b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n%bok" % (
    len(JSON),
    len(JSON) + 2,
    JSON,
)


@pytest.fixture
async def channel(parts: PrivateServices) -> AsyncIterator[Channel]:
    channel = open_channel(parts.environment()["TRITON_URL"])
    yield channel
    channel.close()


def request(value: float, rows: int = 1, width: int = 8) -> Request:
    inputs = [Input("numeric", "FP32", (rows, width)), Input("code", "INT64", (rows, 1))]
    numbers = np.full((rows, width), value, dtype=np.float32)
    codes = np.zeros(rows, dtype=np.int64)
    return Request(Form("rig-v1", inputs, ["probabilities"]), [numbers.tobytes(), codes.tobytes()])


async def test_calls__many_at_once__each_gets_its_own_answer(
    channel: Channel, parts: PrivateServices
) -> None:
    by_grpc = open_channel(parts.environment()["TRITON_GRPC_URL"])
    asked = [request(number / 100, rows=1 + number % 64) for number in range(100)]
    answers = await asyncio.gather(*(channel.infer(each, 10.0) for each in asked))
    assert [len(each["probabilities"]) for each in answers] == [
        8 * (1 + n % 64) for n in range(100)
    ]
    assert answers[7] == await by_grpc.infer(asked[7], 10.0)
    by_grpc.close()


async def test_call__triton_refuses__has_its_status_and_words(channel: Channel) -> None:
    with pytest.raises(TritonError, match="unexpected shape") as caught:
        await channel.infer(request(0.1, width=4), 5.0)
    assert caught.value.status == errors.INVALID_ARGUMENT
    missing = Request(Form("rig-v77", [], []), [])
    with pytest.raises(TritonError, match="unknown model") as caught:
        await channel.infer(missing, 5.0)
    assert caught.value.status == errors.UNAVAILABLE
    assert await channel.infer(request(0.1), 5.0)


async def test_ready__tells_loaded_entries_from_others(channel: Channel) -> None:
    assert await channel.model_ready("rig-v1", 5.0)
    assert not await channel.model_ready("rig-v77", 5.0)
    assert await channel.live(5.0)
    assert channel.connected


async def test_call__nobody_listens__fails_at_once_and_backs_off() -> None:
    channel = open_channel("http://127.0.0.1:9")
    for words in ("Connect", "is away"):
        with pytest.raises(TritonError, match=words) as caught:
            await channel.infer(request(0.1), 5.0)
        assert caught.value.status == errors.UNAVAILABLE


class Server:
    """Answers the requests of each connection with these bytes in turn, then closes it."""

    def __init__(self, *answers: bytes, pieces: int = 0) -> None:
        self.answers, self.pieces = answers, pieces
        self.connections = 0
        self.asked = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Channel:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.channel = open_channel(f"http://127.0.0.1:{port}")
        return self.channel

    async def __aexit__(self, *_: object) -> None:
        self.channel.close()
        self._server.close()
        for writer in self._writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        for answer in self.answers:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(x for x in head.split(b"\r\n") if x.startswith(b"Content-Length: "))
            await reader.readexactly(int(length[16:]))
            self.asked.set()
            await self._say(answer, writer)
        writer.close()

    async def _say(self, answer: bytes, writer: asyncio.StreamWriter) -> None:
        step = self.pieces or max(len(answer), 1)
        for at in range(0, len(answer), step):
            writer.write(answer[at : at + step])
            await writer.drain()
            if self.pieces:
                await asyncio.sleep(0)
        if not answer:  # says nothing, ever
            await asyncio.sleep(60)


ASKED = Request(FORM, [bytes(32), bytes(8)])


@pytest.mark.parametrize("pieces", [0, 1, 7])
async def test_answer__however_it_is_cut__is_put_together(pieces: int) -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    async with Server(interim + OK, OK, pieces=pieces) as channel:
        for _ in range(2):
            assert await channel.infer(ASKED, 5.0) == {"p": b"ok"}


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 16\r\n\r\n" + b'{"error":"it is"}'[:16], 13, "500"),
        (b'HTTP/1.1 400 No\r\nContent-Length: 18\r\n\r\n{"error":"not so"}', 3, "not so"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 14, "503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 2, "no binary"),
        (OK.replace(b":2}", b":1}"), 2, "not as long"),
        (OK[:-1], 14, "lost"),
        (b"what?\r\n\r\n", 14, "lost"),
        (b"", 4, "deadline"),
    ],
)
async def test_answer__that_is_no_success__fails_the_call(
    answer: bytes, status: int, words: str
) -> None:
    async with Server(answer) as channel:
        with pytest.raises(TritonError, match=words) as caught:
            await channel.infer(ASKED, 0.3)
    assert caught.value.status == status


async def test_connection__closed_while_it_was_idle__is_made_anew_and_nobody_notices() -> None:
    server = Server(OK)
    async with server as channel:
        for _ in range(3):
            assert await channel.infer(ASKED, 5.0) == {"p": b"ok"}
    assert server.connections == 3


async def test_call__nobody_waits_for_it_any_more__its_connection_is_not_used_again() -> None:
    server = Server(b"")
    async with server as channel:
        call = asyncio.ensure_future(channel.infer(ASKED, 30.0))
        await server.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not channel.connected
