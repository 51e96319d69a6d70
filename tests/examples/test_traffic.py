"""The replay against a small server that plays back what a gateway may do to a client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pandas as pd
import pytest

from examples.flights.connection import Connection
from examples.flights.data import FEATURES, load_flights
from examples.flights.traffic import Flight, Replay, ask, flights

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PREDICTION = {
    "prediction_id": "p-1",
    "prediction": 0.7,
    "label": "delayed",
    "model_version": 1,
    "variant": "stable",
    "generation": 3,
    "latency_ms": 1.5,
    "cache_hit": False,
    "fallback": None,
}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except asyncio.IncompleteReadError:
            pass  # the client is done
        finally:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, object]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    return head, json.loads(await reader.readexactly(length))


def response(status: int, body: object, extra: str = "") -> bytes:
    text = json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n{extra}\r\n".encode() + text


FLIGHT = Flight("N1", b'{"user_id": "N1"}', "delayed")


async def test_ask__prediction_comes__is_an_answer_with_its_version() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _ = await read_request(reader)
        assert "authorization: bearer key" in head
        writer.write(response(200, PREDICTION))

    async with serving(handler) as url:
        connection = Connection(url=url, token="key")
        answer = await ask(connection, FLIGHT)
        await connection.close()
    assert (answer.status, answer.model_version, answer.truth) == (200, 1, "delayed")


async def test_ask__server_hangs_up__is_an_answer_with_status_zero() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with serving(handler) as url:
        answer = await ask(Connection(url=url, token="key"), FLIGHT)
    assert answer.status == 0


async def test_connection__server_says_close__opens_another_for_the_next() -> None:
    opened = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await read_request(reader)
        writer.write(response(503, {}, "Connection: close\r\n"))

    async with serving(handler) as url:
        connection = Connection(url=url, token="key")
        statuses = [(await connection.post("/v1/predict", b"{}")).status for _ in range(2)]
    assert (statuses, opened) == ([503, 503], 2)


async def test_replay__flights_with_arrivals__sends_each_outcome_once() -> None:
    outcomes: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            head, body = await read_request(reader)
            if "/v1/outcomes" in head:
                found = body["outcomes"]
                assert isinstance(found, list)
                outcomes.extend(item["outcome_id"] for item in found)
                writer.write(response(202, {}))
            else:
                numbered = {**PREDICTION, "prediction_id": f"p-{len(replay.answers)}-{id(body)}"}
                writer.write(response(200, numbered))

    async with serving(handler) as url:
        replay = Replay(gateway_url=url, token="key", flights=[FLIGHT], rate=100)
        replay.start()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(replay.stop)
    assert 20 <= len(replay.answers) <= 90
    assert len(outcomes) == len(replay.answers) == replay.outcomes_accepted


@pytest.fixture(scope="module")
def march() -> pd.DataFrame:
    return load_flights((3,)).head(1000)


def test_flights__of_a_frame__are_questions_with_typed_features(march: pd.DataFrame) -> None:
    first = flights(march, endpoint="flights")[0]
    body = json.loads(first.body)
    assert body["model"] == "flights"
    assert body["user_id"] == first.unit
    assert list(body["features"]) == list(FEATURES)
    assert isinstance(body["features"]["month"], int)


def test_flights__never_arrived__have_no_label(march: pd.DataFrame) -> None:
    lost = march[march["arr_delay"].isna() & march["tailnum"].notna()]
    assert len(lost) > 0
    assert {flight.label for flight in flights(lost, endpoint="flights")} == {""}
