"""Flights as live traffic: each is a question at the gateway, its arrival becomes a label.

A `Replay` runs in a thread of its own, open loop: flights leave at a fixed rate however long the
answers take, until all connections are busy. Everything that the client saw is kept in `answers`.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

import msgspec
import pandas as pd

from examples.flights.connection import Connection
from examples.flights.data import FEATURES, INTEGER_FEATURES, LABEL
from examples.flights.models import LABEL_MAP

CONNECTIONS: Final = 32
LABEL_BATCH_S: Final = 0.5


class Flight(msgspec.Struct, frozen=True):
    """One question: the unit (tail number), the request body, the true label ("" = unknown)."""

    unit: str
    body: bytes
    label: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the client saw. `status` 0: no answer came. `at`: epoch seconds when it came."""

    at: float
    unit: str
    status: int
    truth: str
    prediction_id: str = ""
    label: str = ""
    model_version: str | int = ""
    variant: str = ""
    generation: int = 0
    latency_ms: float = 0.0
    fallback: str | bool | None = None


class _Prediction(msgspec.Struct):
    """The fields of an answer that the story looks at."""

    prediction_id: str
    label: str
    model_version: str | int
    variant: str
    generation: int
    latency_ms: float
    fallback: str | bool | None = None


def flights(frame: pd.DataFrame, *, endpoint: str) -> list[Flight]:
    """Questions in the order of the frame; flights without a tail number are left out."""
    known = frame[frame["tailnum"].notna()]
    features = known[list(FEATURES)].astype(dict.fromkeys(INTEGER_FEATURES, int))
    encode = msgspec.json.Encoder().encode
    return [
        Flight(
            unit,
            encode({"model": endpoint, "features": row, "user_id": unit}),
            LABEL_MAP[str(int(late))] if arrived else "",
        )
        for unit, row, late, arrived in zip(
            known["tailnum"],
            features.to_dict("records"),
            known[LABEL],
            known["arr_delay"].notna(),
            strict=True,
        )
    ]


class Replay:
    """Sends flights in turn, over again when they end; `answers` only ever grows."""

    def __init__(
        self, *, gateway_url: str, token: str, flights: Sequence[Flight], rate: float
    ) -> None:
        self.answers: list[Answer] = []
        self.outcomes_accepted = 0
        self.outcomes_refused = 0
        self._gateway_url = gateway_url
        self._token = token
        self._flights = itertools.cycle(flights)
        self._rate = rate
        self._labels: list[Answer] = []
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay")
        self._running: Future[None] | None = None

    def start(self) -> None:
        """Begin to send."""
        self._running = self._thread.submit(asyncio.run, self._run())

    def stop(self) -> None:
        """Let what is under way end, send the last labels, and return; may be called twice.

        Raises what ended the replay, if anything did.
        """
        self._stopping.set()
        if self._running is not None:
            self._running.result()
        self._thread.shutdown()

    async def _run(self) -> None:
        self._next_at = time.monotonic()
        labels = asyncio.create_task(self._send_labels())
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._send_flights())
        await labels

    async def _send_flights(self) -> None:
        connection = self._connection()
        while not self._stopping.is_set():
            await asyncio.sleep(self._claim_departure() - time.monotonic())
            flight = next(self._flights)
            answer = await ask(connection, flight)
            self.answers.append(answer)
            if answer.status == 200 and flight.label:
                self._labels.append(answer)
        await connection.close()

    def _claim_departure(self) -> float:
        """The next slot of the timetable; slots that every connection missed are given up."""
        slot = max(self._next_at, time.monotonic() - 1.0)
        self._next_at = slot + 1.0 / self._rate
        return slot

    async def _send_labels(self) -> None:
        connection = self._connection()
        while not self._stopping.is_set():
            await asyncio.sleep(LABEL_BATCH_S)
            await self._flush_labels(connection)
        await asyncio.sleep(LABEL_BATCH_S)
        await self._flush_labels(connection)
        await connection.close()

    async def _flush_labels(self, connection: Connection) -> None:
        batch, self._labels = self._labels, []
        if not batch:
            return
        now = datetime.now(UTC).isoformat()
        outcomes = [
            {
                "outcome_id": f"arrival-{answer.prediction_id}",
                "prediction_id": answer.prediction_id,
                "metric": "label",
                "value": answer.truth,
                "timestamp": now,
            }
            for answer in batch
        ]
        body = msgspec.json.encode({"outcomes": outcomes})
        if await _accepted(connection, body):
            self.outcomes_accepted += len(batch)
        else:
            self.outcomes_refused += len(batch)

    def _connection(self) -> Connection:
        return Connection(url=self._gateway_url, token=self._token)


async def ask(connection: Connection, flight: Flight) -> Answer:
    """One prediction as the client saw it; a broken connection is an answer with status 0."""
    try:
        reply = await connection.post("/v1/predict", flight.body)
    except (OSError, EOFError, TimeoutError):
        return Answer(at=time.time(), unit=flight.unit, status=0, truth=flight.label)
    now = time.time()
    if reply.status != 200:
        return Answer(at=now, unit=flight.unit, status=reply.status, truth=flight.label)
    seen = msgspec.json.decode(reply.body, type=_Prediction)
    return Answer(
        at=now,
        unit=flight.unit,
        status=200,
        truth=flight.label,
        **{name: getattr(seen, name) for name in _Prediction.__struct_fields__},
    )


async def _accepted(connection: Connection, body: bytes) -> bool:
    try:
        return (await connection.post("/v1/outcomes", body)).status == 202
    except (OSError, EOFError, TimeoutError):
        return False
