"""A queue and a model that answers when it is told to."""

import asyncio
import struct
import time
from collections.abc import Sequence
from typing import Any, cast

from contracts.routing import Limits
from dataplane.gateway.batching import Batcher, Call
from dataplane.gateway.row import Row
from dataplane.gateway.triton import Model
from tests.dataplane.gateway.rows import row


class SlowModel:
    """Answers each call when `release` is set; remembers what it was asked and for how long."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.asked: list[int] = []
        self.seconds: list[float] = []

    async def infer(self, rows: Sequence[Any], seconds: float, *_: object) -> bytes:
        self.asked.append(len(rows))
        self.seconds.append(seconds)
        await self.release.wait()
        return struct.pack("<2f", 0.5, 0.5) * len(rows)


class Queue:
    """A batcher of one call at a time, and what came out of it."""

    def __init__(self) -> None:
        self.model = SlowModel()
        self.out: list[Row] = []
        limits = Limits(max_delay_ms=60_000)
        self.batcher = Batcher(
            row(limits=limits).variant,
            cast(Model, self.model),
            finish=self.finish,
            max_in_flight=1,
        )

    def finish(self, call: Call) -> None:
        self.out += call.rows

    async def submit(self, deadline: float, **changes: Any) -> Row:
        made = row(**changes)
        made.deadline = time.perf_counter() + deadline
        self.batcher.submit(made)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return made

    async def drain(self) -> None:
        self.model.release.set()
        for _ in range(20):  # turns of the event loop
            await asyncio.sleep(0)
        assert self.batcher.idle


async def test_queue__deadline_passed_meanwhile__is_never_sent() -> None:
    queue = Queue()
    first = await queue.submit(60)
    late = await queue.submit(-1)
    await queue.drain()
    assert queue.model.asked == [1]
    assert first.answer is not None
    assert (late.error, late.blamed) == ("overload", False)


async def test_queue__row_closed_meanwhile__is_never_sent() -> None:
    queue = Queue()
    await queue.submit(60)
    gone = await queue.submit(60)
    gone.closed = True
    await queue.drain()
    assert queue.model.asked == [1]
    assert gone.answer is None


async def test_call__impatient_neighbour__does_not_cut_the_others_off() -> None:
    queue = Queue()
    await queue.submit(60)
    hurried = await queue.submit(0.5)
    hurried.patience = asyncio.get_running_loop().call_later(60, print)
    await queue.submit(50)
    await queue.drain()
    hurried.patience.cancel()
    assert queue.model.asked == [1, 2]
    assert queue.model.seconds[1] > 40


async def test_call__rows_without_a_neighbour_s_patience__ends_with_the_last_of_them() -> None:
    queue = Queue()
    await queue.submit(60)
    for deadline in (20, 30):
        hurried = await queue.submit(deadline)
        hurried.patience = asyncio.get_running_loop().call_later(0, str)
    await queue.drain()
    assert 20 < queue.model.seconds[1] <= 30
