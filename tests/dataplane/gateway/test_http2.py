"""The HTTP/2 client against the real Triton, and against servers that misbehave."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

import hpack
import numpy as np
import pytest
import uvloop
from tritonclient.grpc import service_pb2 as pb

from benchmarks import rig
from contracts.addresses import parse_address
from dataplane.gateway import errors, http2
from dataplane.gateway.channel import GrpcChannel
from dataplane.gateway.errors import TritonError
from dataplane.gateway.tls import PLAIN
from embedded.private import PrivateServices
from tests.dataplane.gateway.site import Site, eventually

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BLOCK = http2.request_block("/inference.GRPCInferenceService/ServerLive", "localhost")


@pytest.fixture
async def channel(parts: PrivateServices) -> AsyncIterator[GrpcChannel]:
    channel = opened(parts.environment()["TRITON_GRPC_URL"])
    yield channel
    channel.close()


def opened(address: str) -> GrpcChannel:
    return GrpcChannel(address, parse_address(address), PLAIN)


def request(value: float, label: str = "") -> bytes:
    message = pb.ModelInferRequest(model_name="rig-v1", id=label)
    message.inputs.add(name="numeric", datatype="FP32", shape=[1, 8])
    message.inputs.add(name="code", datatype="INT64", shape=[1, 1])
    message.raw_input_contents.append(np.full(8, value, dtype=np.float32).tobytes())
    message.raw_input_contents.append(np.zeros(1, dtype=np.int64).tobytes())
    return bytes(message.SerializeToString())


async def test_calls__many_at_once__each_gets_its_own_answer(channel: GrpcChannel) -> None:
    calls = [
        channel.call("ModelInfer", request(0.1, f"call-{number}"), 10.0) for number in range(200)
    ]
    answers = [pb.ModelInferResponse.FromString(each) for each in await asyncio.gather(*calls)]
    assert [answer.id for answer in answers] == [f"call-{number}" for number in range(200)]


async def test_call__message_beyond_every_window__arrives_both_ways(channel: GrpcChannel) -> None:
    label = "x" * 3_000_000
    for _ in range(2):
        answer = await channel.call("ModelInfer", request(0.1, label), 20.0)
        assert pb.ModelInferResponse.FromString(answer).id == label


async def test_call__triton_refuses__has_its_status_and_words(channel: GrpcChannel) -> None:
    message = pb.ModelInferRequest.FromString(request(0.1))
    message.inputs[0].shape[1] = 4
    with pytest.raises(TritonError, match="unexpected shape") as caught:
        await channel.call("ModelInfer", message.SerializeToString(), 5.0)
    assert caught.value.status == 3


async def test_model_ready__tells_loaded_entries_from_others(channel: GrpcChannel) -> None:
    assert await channel.model_ready("rig-v1", 5.0)
    assert not await channel.model_ready("rig-v77", 5.0)


async def test_call__nobody_listens__fails_at_once_and_backs_off() -> None:
    channel = opened("127.0.0.1:9")
    for words in ("Connect", "is away"):
        with pytest.raises(TritonError, match=words) as caught:
            await channel.call("ServerLive", b"", 5.0)
        assert caught.value.status == errors.UNAVAILABLE


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


def headers(*pairs: tuple[str, str]) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(list(pairs), huffman=True))


def answer(stream: int = 1, status: str = "0", data: bytes = b"ok") -> bytes:
    """A reply as an awkward server may send it: padding, split headers, split data."""
    head = headers((":status", "200"), ("content-type", "application/grpc"))
    message = b"\0" + len(data).to_bytes(4, "big") + data
    padded = b"\x03" + message[:3] + b"\0\0\0"
    return b"".join(
        (
            frame(http2.HEADERS, 0, stream, head[:4]),
            frame(http2.CONTINUATION, http2.END_HEADERS, stream, head[4:]),
            frame(http2.DATA, http2.PADDED, stream, padded),
            frame(http2.DATA, 0, stream, message[3:]),
            frame(
                http2.HEADERS,
                http2.END_HEADERS | http2.END_STREAM,
                stream,
                headers(("grpc-status", status), ("grpc-message", "so%20it%20is")),
            ),
        )
    )


async def ask(data: bytes, seconds: float = 2.0, *, pieces: int = 0) -> bytes:
    """Call a server that answers any request with these bytes, perhaps in small pieces."""

    done = asyncio.Event()
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BLOCK)
        step = pieces or max(len(data), 1)
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if pieces:
                await asyncio.sleep(0)
        await done.wait()
        writer.close()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(http2.Connection, "127.0.0.1", port)
    try:
        return await connection.call(BLOCK, b"", seconds)
    finally:
        connection.close()
        server.close()
        done.set()
        await served.wait()


@pytest.mark.parametrize("pieces", [0, 1, 7])
async def test_reply__however_it_is_cut__is_put_together(pieces: int) -> None:
    settings = frame(http2.SETTINGS, 0, 0, b"\0\4\0\0\0\x10")
    ping = frame(http2.PING, 0, 0, b"12345678")
    unknown = frame(0xEE, 0, 0, b"whatever")
    assert await ask(settings + ping + unknown + answer(), pieces=pieces) == b"ok"


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (answer(status="13"), 13, "so it is"),
        (frame(http2.RST_STREAM, 0, 1, b"\0\0\0\7"), 14, "reset"),
        (frame(http2.GOAWAY, 0, 0, b"\0" * 8), 14, "shutting down"),
        (frame(http2.HEADERS, 5, 1, headers((":status", "502"))), 14, "502"),
        (frame(http2.HEADERS, 5, 1, b"\xff\xff\xff\xff"), 14, "lost"),
        (b"\xff\xff\xff\x00" * 8, 14, "lost"),
        (b"", 4, "deadline"),
    ],
)
async def test_reply__that_is_no_success__fails_the_call(
    data: bytes, status: int, words: str
) -> None:
    with pytest.raises(TritonError, match=words) as caught:
        await ask(data, 0.3)
    assert caught.value.status == status


async def test_call__deadline_passes__says_so_and_leaves_the_connection_usable() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(BLOCK)
        writer.write(answer(stream=3))
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connection = await connected(server.sockets[0].getsockname())
    with pytest.raises(TritonError) as caught:
        await connection.call(BLOCK, b"", 0.01)
    assert caught.value.status == errors.DEADLINE_EXCEEDED
    assert await connection.call(BLOCK, b"", 10.0) == b"ok"
    connection.close()
    server.close()
    await left.wait()


async def connected(address: tuple[str, int]) -> http2.Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(http2.Connection, *address)
    return connection


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_call__answer_is_there_when_a_loop_held_up_sees_the_deadline__counts(
    run: Callable[[Coroutine[None, None, bytes]], bytes],
) -> None:
    async def held_up() -> bytes:
        bell, rope = socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as server, bell, rope:
            connection = await connected(server.getsockname())
            call = asyncio.create_task(connection.call(BLOCK, b"", 0.001))
            peer, _ = server.accept()

            def hold_up() -> None:
                peer.sendall(answer())
                time.sleep(0.01)
                loop.remove_reader(bell)

            loop = asyncio.get_running_loop()
            loop.add_reader(bell, hold_up)
            rope.send(b"!")
            with peer:
                return await call

    assert run(held_up()) == b"ok"


def test_gateway__triton_killed_and_back__serves_again_by_itself(
    parts: PrivateServices, site: Site
) -> None:
    address = parts.environment()["TRITON_GRPC_URL"]
    site.serve(rig.endpoint([rig.variant(1, address)]))
    triton = next(each for each in parts.running if each.process.name == "triton")
    triton.kill()
    parts.running.remove(triton)
    assert site.predict().status == 503
    parts.start_triton()
    for number in (1, 2):
        rig.install_model(parts.environment(), number, bias=number)
    eventually(lambda: site.predict().status == 200)
